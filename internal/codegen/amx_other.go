//go:build !(linux && amd64)

package codegen

import "errors"

func askAMX() error { return errors.New("AMX needs an x86-64 with Linux") }
