//go:build !unix

package codegen

import "errors"

func mapCode([]byte) ([]byte, error) {
	return nil, errors.New("codegen: no executable memory on this system")
}

func unmapCode([]byte) {}
