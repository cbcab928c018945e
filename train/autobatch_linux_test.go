package train

import (
	"os"
	"syscall"
	"testing"
)

// touch takes memory, as a step does, and gives it back.
func touch(t *testing.T, bytes int) {
	t.Helper()
	memory, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < bytes; i += 4096 {
		memory[i] = 1
	}
	if err := syscall.Munmap(memory); err != nil {
		t.Fatal(err)
	}
}

// What the process once had does not hide what a picture takes.
func TestProcessRoomAfterAPeak(t *testing.T) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip(err)
	}
	const picture = 32 << 20
	touch(t, 8*picture)
	_, each, err := processRoom(func(pictures int) error {
		touch(t, pictures*picture)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if each < 0.9*picture || each > 1.1*picture {
		t.Errorf("a picture takes %v bytes, want about %d", each, picture)
	}
}
