//go:build unix

package compress

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock makes a run this process's, until release or until the process ends, however it
// does. The error is errAtWork where it is another's.
func lock(dir string) (release func(), err error) {
	return flock(dir, os.O_CREATE|os.O_RDWR, syscall.LOCK_EX)
}

// atWork reports whether a process is at a run. Whoever may read it can ask.
func atWork(dir string) bool {
	release, err := flock(dir, os.O_RDONLY, syscall.LOCK_SH)
	if err == nil {
		release()
	}
	return errors.Is(err, errAtWork)
}

func flock(dir string, flag, how int) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), flag, 0o644)
	if err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		switch err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		case tries == 5:
			f.Close()
			return nil, fmt.Errorf("the run in %s %w", dir, errAtWork)
		}
		time.Sleep(20 * time.Millisecond) // somebody may only be asking
	}
}
