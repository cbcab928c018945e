//go:build !(linux || darwin)

package dataset

import (
	"errors"
	"os"
)

// freeBytes is not known here.
func freeBytes(string) (int64, error) { return 8 << 30, nil }

// lockFile lets all share: nobody is ever alone here, and so nothing is removed.
func lockFile(_ *os.File, alone bool) error {
	if alone {
		return errors.ErrUnsupported
	}
	return nil
}
