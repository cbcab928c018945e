package ort

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// errAbsent says how to get the library.
var errAbsent = errors.New("ONNX Runtime's library is not here: run `npm install --ignore-scripts --prefix .deps onnxruntime-node@1.30.0` " +
	"in the folder you start from, or unpack a release of github.com/microsoft/onnxruntime into the user's cache folder under ultrafast/onnxruntime")

// Find returns the path of ONNX Runtime's shared library. It looks, in this order, in
// .deps of the working directory and of the directories above it, in ultrafast/onnxruntime
// of the user's cache folder, and where systems keep their libraries. In the first two it
// takes what `npm install onnxruntime-node` or an unpacked release leaves there.
func Find() (string, error) {
	for _, dir := range places() {
		for _, pattern := range fileNames() {
			// Glob's only error is a malformed pattern, which a strange folder name can make.
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err == nil && len(found) > 0 {
				return found[len(found)-1], nil
			}
		}
	}
	return "", errAbsent
}

func places() []string {
	var roots, all []string
	if dir, err := os.Getwd(); err == nil {
		for ; ; dir = filepath.Dir(dir) {
			roots = append(roots, filepath.Join(dir, ".deps"))
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if dir, err := os.UserCacheDir(); err == nil {
		roots = append(roots, filepath.Join(dir, "ultrafast", "onnxruntime"))
	}
	for _, root := range roots {
		all = append(all,
			filepath.Join(root, "node_modules", "onnxruntime-node", "bin", "napi-v*", nodeSystem(), nodeArch()),
			filepath.Join(root, "onnxruntime-*", "lib"),
			filepath.Join(root, "lib"),
			root)
	}
	switch runtime.GOOS {
	case "darwin":
		return append(all, "/opt/homebrew/lib", "/usr/local/lib")
	case "linux":
		return append(all, "/usr/local/lib", "/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib")
	}
	return all
}

func fileNames() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"libonnxruntime.dylib", "libonnxruntime.*.dylib"}
	case "windows":
		return []string{"onnxruntime.dll"}
	}
	return []string{"libonnxruntime.so", "libonnxruntime.so.*"}
}

// nodeSystem and nodeArch are Node's names of system and processor.
func nodeSystem() string {
	if runtime.GOOS == "windows" {
		return "win32"
	}
	return runtime.GOOS
}

func nodeArch() string {
	if runtime.GOARCH == "amd64" {
		return "x64"
	}
	return runtime.GOARCH
}
