// Package torch is the train.Backend on libtorch, PyTorch's C++ library.
//
// Between the two stands a shim, C++ of a few hundred lines whose source is in this
// package: Build compiles it once against the libtorch of the machine, Open loads it at run
// time. So the program itself needs neither cgo nor libtorch until it trains.
package torch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed shim
var source embed.FS

const install = "apt-get install -y --no-install-recommends libtorch-dev libgloo-dev libopenblas0-pthread g++"

// BuildOptions says which libtorch to build for.
type BuildOptions struct {
	Torch string    // directory with include and lib; empty is the system's own
	Log   io.Writer // gets the compiler's commands and output; nil is nobody
}

// Build compiles the shim into the user's cache and returns the library's path. Its name
// carries libtorch's version and a hash of the source. Errors say what to install.
func Build(ctx context.Context, o BuildOptions) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("build engine: %w", err)
	}
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", fmt.Errorf("build engine: %w", err)
	}
	defer os.RemoveAll(work)
	b := builder{ctx: ctx, dir: work, log: o.Log}
	if err := b.find(o.Torch); err != nil {
		return "", fmt.Errorf("build engine: %w", err)
	}
	if err := b.compile(); err != nil {
		return "", fmt.Errorf("build engine: %w", err)
	}
	path := filepath.Join(cache, "libultrafast-torch-"+b.version+"-"+sourceHash()+".so")
	// The new file has a name and an inode of its own: a running program keeps the old one.
	if err := os.Rename(filepath.Join(work, "shim.so"), path); err != nil {
		return "", fmt.Errorf("build engine: %w", err)
	}
	return path, nil
}

// Find returns the newest library in the cache that this program's source made.
func Find() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(cache, "libultrafast-torch-*-"+sourceHash()+".so"))
	if err != nil {
		return "", err
	}
	newest, when := "", int64(0)
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && info.ModTime().UnixNano() >= when {
			newest, when = path, info.ModTime().UnixNano()
		}
	}
	if newest == "" {
		return "", errors.New("libtorch is not connected yet: run: ultrafast engine build")
	}
	return newest, nil
}

func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory for the engine: %w", err)
	}
	return filepath.Join(dir, "ultrafast", "engine"), nil
}

// How the shim is compiled.
var (
	allFlags = []string{"-std=c++20", "-fPIC", "-c"}
	// Without the last four the compiler makes branches of the kernels' clamps, which takes
	// twice the time. The kernels multiply by their input, so a NaN passes all the same.
	kernelFlags = []string{"-O3", "-fopenmp-simd",
		"-fno-math-errno", "-fno-trapping-math", "-ffinite-math-only", "-fno-signed-zeros"}
	kernelSets = map[string][]string{
		"base": nil,
		"v3":   {"-march=x86-64-v3"},
		"v4":   {"-march=x86-64-v4", "-mprefer-vector-width=512"},
	}
)

// sourceHash names the embedded source and how it is compiled.
func sourceHash() string {
	h := sha256.New()
	fmt.Fprintln(h, allFlags, kernelFlags, kernelSets) // maps print in order
	// An embedded file system lists in order and does not fail.
	fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			text, _ := source.ReadFile(path)
			fmt.Fprintf(h, "%s %d\n%s", path, len(text), text)
		}
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:12]
}

type builder struct {
	ctx     context.Context
	dir     string
	log     io.Writer
	flags   []string // for reading libtorch's headers
	link    []string
	version string // "1.13.0", "2.6.0-cuda"
}

// find looks for the compiler and for libtorch in dir, or where Debian puts it.
func (b *builder) find(dir string) error {
	if _, err := exec.LookPath("g++"); err != nil {
		return fmt.Errorf("there is no g++ here: %s", install)
	}
	include, lib := "/usr/include", ""
	if dir != "" {
		full, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		include, lib = filepath.Join(full, "include"), filepath.Join(full, "lib")
		b.link = []string{"-L" + lib, "-Wl,-rpath," + lib}
		b.flags = []string{"-isystem", include}
	}
	b.flags = append(b.flags, "-isystem", filepath.Join(include, "torch/csrc/api/include"))
	out, err := b.output(append(b.flags, "-x", "c++", "-E", "-dM", "-include", "torch/version.h", "/dev/null")...)
	if err != nil {
		if dir != "" {
			return fmt.Errorf("%s holds no libtorch: want include/torch and lib/libtorch.so in it", dir)
		}
		return fmt.Errorf("there is no libtorch here: %s, or unpack one and name it: ultrafast engine build --torch DIR", install)
	}
	scan := bufio.NewScanner(bytes.NewReader(out))
	for scan.Scan() {
		if v, ok := strings.CutPrefix(scan.Text(), "#define TORCH_VERSION "); ok {
			b.version = strings.Trim(v, `" `)
		}
	}
	if b.version == "" || strings.ContainsAny(b.version, "/*?[") {
		return fmt.Errorf("torch/version.h names no version: %s", install)
	}
	return b.findLibraries(lib)
}

func (b *builder) findLibraries(lib string) error {
	b.link = append(b.link, "-ltorch_cpu", "-lc10", "-ldl", "-Wl,-z,defs")
	cuda := filepath.Join(lib, "libtorch_cuda.so")
	if lib == "" {
		out, err := b.output("-print-file-name=libtorch_cuda.so") // the name alone if there is none
		if err != nil {
			return err
		}
		cuda = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(cuda); err == nil && filepath.IsAbs(cuda) {
		b.version += "-cuda"
		// Where pip puts NCCL's and CUDA's headers, beside its libtorch.
		beside, _ := filepath.Glob(filepath.Join(lib, "..", "..", "nvidia", "*", "include"))
		for _, dir := range beside {
			b.flags = append(b.flags, "-isystem", dir)
		}
		// Nothing in the shim names a symbol of these; without them CUDA is not registered.
		b.link = append(b.link, "-Wl,--no-as-needed", "-ltorch", "-ltorch_cuda", "-lc10_cuda")
	}
	if lib == "" {
		return nil // a distribution's is built as its compiler builds
	}
	old, err := oldStrings(filepath.Join(lib, "libc10.so"))
	if err != nil {
		return fmt.Errorf("%s is not libtorch's: %w", filepath.Join(lib, "libc10.so"), err)
	}
	if old {
		b.flags = append(b.flags, "-D_GLIBCXX_USE_CXX11_ABI=0")
	}
	return nil
}

// oldStrings reports whether a libtorch was built with the strings of GCC 4, as the pip
// packages were until 2.6: then no symbol of its error class carries the name of the new.
func oldStrings(path string) (bool, error) {
	f, err := elf.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return false, err
	}
	for _, s := range symbols {
		if strings.Contains(s.Name, "c105Error") && strings.Contains(s.Name, "cxx11") {
			return false, nil
		}
	}
	return true, nil
}

// compile writes the source out and makes shim.so of it.
func (b *builder) compile() error {
	if err := os.CopyFS(b.dir, source); err != nil {
		return err
	}
	objects := []string{"uf.o"}
	for name, flags := range kernelSets {
		if name != "base" && runtime.GOARCH != "amd64" {
			continue
		}
		object := "kernels-" + name + ".o"
		options := []string{"-DUF_ISA=" + name, "shim/kernels.cpp", "-o", object}
		if err := b.run(join(allFlags, kernelFlags, flags, options)...); err != nil {
			return err
		}
		objects = append(objects, object)
	}
	if err := b.compileMain(); err != nil {
		return err
	}
	return b.run(join([]string{"-shared", "-o", "shim.so"}, objects, b.link)...)
}

// compileMain compiles all that reads libtorch's headers. What several processes need may
// be missing or not fit: Debian has Gloo's headers in a package of their own, others leave
// them out. Without them the shim says what to install, when it is asked.
func (b *builder) compileMain() error {
	groups := [][]string{{"-DUSE_C10D_GLOO"}, nil}
	if strings.HasSuffix(b.version, "-cuda") {
		groups = [][]string{{"-DUSE_C10D_GLOO", "-DUSE_C10D_NCCL"}, {"-DUSE_C10D_NCCL"}, {"-DUSE_C10D_GLOO"}, nil}
	}
	var err error
	for i, defines := range groups {
		args := join(allFlags, b.flags, defines, []string{"-O2", "shim/uf.cpp", "-o", "uf.o"})
		if i == len(groups)-1 {
			return b.run(args...)
		}
		quiet := *b
		quiet.log = nil
		if err = quiet.run(args...); err == nil || b.ctx.Err() != nil {
			break
		}
		if b.log != nil {
			fmt.Fprintf(b.log, "without %s, which training in several processes may need: %v\n", strings.Join(defines, " "), err)
		}
	}
	return err
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func (b *builder) run(args ...string) error {
	_, err := b.output(args...)
	return err
}

// output runs g++ and returns what it printed. Its complaints go to the log, and their
// first line into the error.
func (b *builder) output(args ...string) ([]byte, error) {
	c := exec.CommandContext(b.ctx, "g++", args...)
	c.Dir = b.dir
	var complaints bytes.Buffer
	c.Stderr = &complaints
	if b.log != nil {
		fmt.Fprintln(b.log, c)
		c.Stderr = io.MultiWriter(&complaints, b.log)
	}
	out, err := c.Output()
	if b.ctx.Err() != nil {
		return nil, b.ctx.Err()
	}
	if err != nil {
		for line := range strings.Lines(complaints.String()) {
			if strings.Contains(line, "error") || strings.Contains(line, "undefined") || strings.Contains(line, "cannot find") {
				return nil, fmt.Errorf("g++: %s", strings.TrimSpace(line))
			}
		}
		return nil, fmt.Errorf("g++: %w", err)
	}
	return out, nil
}
