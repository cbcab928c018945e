// Package layers holds one test: who may import whom.
package layers

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed lists, for each package, the packages of this module that it may import. Readers
// know no stages, stages know no files, the engine knows no YOLO; only the commands and
// the library face see many. Test files are free, since a stage is checked against others.
const allowed = `
tensor            :
box               :
picture           : internal/bands picture/jpeg
picture/jpeg      : internal/bands
graph             : tensor
pass              : graph tensor
pt                : tensor
onnx              : graph pass tensor
safetensors       : graph tensor
ort               : graph onnx pass tensor
engine            : graph internal/codegen pass tensor
engine/tuned      : engine graph internal/cpuinfo
internal/bands    :
internal/codegen  : internal/codegen/amd64 internal/codegen/arm64 internal/cpuinfo
internal/codegen/amd64 :
internal/codegen/arm64 :
yolo              : box graph picture pt tensor
dataset           : box picture tensor yolo
dataset/check     : dataset picture
dataset/convert   : dataset
train             : box dataset graph picture safetensors tensor yolo
train/torch       : dataset graph tensor train train/peers
train/peers       :
train/backendtest : dataset graph tensor train
prune             : graph pass tensor
quant             : graph pass tensor
compress          : box dataset graph onnx prune quant report safetensors tensor train yolo
detect            : box engine engine/tuned graph picture tensor yolo
report            : box dataset picture prune
scene             : picture
models/mask       : graph safetensors
internal/cpuinfo  :
internal/emulator :
internal/layers   :
internal/peak     :
.                 : box detect graph onnx pt safetensors yolo
cmd/ultrafast     : *
docs/results/bench : prune safetensors yolo
docs/results/curves : report
docs/results/tradeoff : report
docs/results/widen : graph safetensors tensor
`

func TestImports(t *testing.T) {
	rules := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(allowed)) {
		pkg, list, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("rule %q has no colon", line)
		}
		rules[strings.TrimSpace(pkg)] = strings.Fields(list)
	}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "runs") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := path.Clean(filepath.ToSlash(rel))
		may, ok := rules[pkg]
		if !ok {
			t.Errorf("%s: package %s has no line in the table of allowed imports", file, pkg)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			ours, ok := strings.CutPrefix(name+"/", "ultrafast/")
			if ours = strings.TrimSuffix(ours, "/"); ours == "" {
				ours = "."
			}
			if ok && !slices.Contains(may, ours) && !slices.Contains(may, "*") {
				t.Errorf("%s imports %s, which %s may not", file, ours, pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
