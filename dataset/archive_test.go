package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A member is a file of an archive. A tar's may be a link.
type member struct {
	name, text string
	link       string
}

// pngText is a picture of 20 x 10 pixels as a file.
func pngText(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	path := filepath.Join(root, "x.png")
	writePNG(t, path, "20x10")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func makeZip(t testing.TB, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		if m.link != "" {
			h.SetMode(os.ModeSymlink | 0o777)
			m.text = m.link
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, m.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func makeTar(t testing.TB, zipped bool, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	var out io.Writer = &b
	if zipped {
		z := gzip.NewWriter(&b)
		defer z.Close()
		out = z
	}
	w := tar.NewWriter(out)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.text)), Mode: 0o644, Typeflag: tar.TypeReg}
		if m.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, m.link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if m.link == "" {
			if _, err := io.WriteString(w, m.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if z, ok := out.(*gzip.Writer); ok {
		z.Close()
	}
	return b.Bytes()
}

// put writes an archive to a folder of its own, and makes a cache of its own.
func put(t testing.TB, name string, data []byte) string {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArchives(t *testing.T) {
	png := pngText(t)
	members := []member{
		{name: "my set/data.yaml", text: "train: ../train/images\nval: valid/images\nnames: [a, b]\n"},
		{name: "my set/train/images/ä b.png", text: png}, {name: "my set/train/labels/ä b.txt", text: boxText},
		{name: "my set/valid/images/b.png", text: png}, {name: "my set/valid/labels/b.txt", text: boxText},
		{name: "my set/setup.py", text: "no part of a data set"}, {name: "__MACOSX/my set/._data.yaml", text: "x"},
	}
	for name, data := range map[string][]byte{"a.zip": makeZip(t, members), "a.tar": makeTar(t, false, members), "A.TAR.GZ": makeTar(t, true, members), "a.tgz": makeTar(t, true, members)} {
		t.Run(name, func(t *testing.T) {
			path := put(t, name, data)
			d, err := Open(path, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Train) != 1 || len(d.Val) != 1 || len(d.Train[0].Labels) != 1 || filepath.Base(d.Train[0].Path) != "ä b.png" {
				t.Errorf("%+v", d)
			}
			// The second time nothing is unpacked, and nothing else is in the cache.
			if err := os.Chtimes(d.Train[0].Path, staleTime, staleTime); err != nil {
				t.Fatal(err)
			}
			again, err := Open(path, OpenOptions{})
			if err != nil || !reflect.DeepEqual(again, d) {
				t.Errorf("again: %v, %v", again, err)
			}
			if st, err := os.Stat(d.Train[0].Path); err != nil || !st.ModTime().Equal(staleTime) {
				t.Errorf("was unpacked twice (%v)", err)
			}
			if found, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "ultrafast", "data", "*")); len(found) != 1 {
				t.Errorf("the cache holds %q", found)
			}
		})
	}
}

func TestHostileArchives(t *testing.T) {
	png := pngText(t)
	bomb := strings.Repeat("0", 150<<20)
	tests := []struct {
		name    string
		members []member
		err     string
	}{
		{"path up", []member{{name: "../../a.txt", text: "x"}}, `the entry "../../a.txt" leads out of the archive`},
		{"absolute", []member{{name: "/tmp/a.txt", text: "x"}}, `the entry "/tmp/a.txt" leads out of the archive`},
		{"backslashes", []member{{name: `..\a.txt`, text: "x"}}, "leads out of the archive"},
		{"link", []member{{name: "images", link: "/etc"}}, `the entry "images" is a link or a device`},
		{"twice", []member{{name: "a.txt", text: "x"}, {name: "./a.txt", text: "y"}}, `the entry "./a.txt" is there twice`},
		{"file for a folder", []member{{name: "a.txt", text: "x"}, {name: "a.txt/b.txt", text: "y"}}, "not a directory"},
		{"bomb", []member{{name: "a.json", text: bomb}}, "more than 200 times as large as the archive"},
		{"no data set", []member{{name: "a.txt", text: "x"}}, "no data set is recognised"},
		{"list leads out", []member{{name: "data.yaml", text: "names: [a]\nval: l.txt"}, {name: "l.txt", text: "/etc/a.png"}}, "which is outside the archive"},
		{"split leads out", []member{{name: "data.yaml", text: "names: [a]\nval: ROOT"}}, "data.yaml:2: val: \"/tmp/"},
		{"empty", nil, "no data set is recognised"},
	}
	for _, test := range tests {
		for _, kind := range []string{".zip", ".tar", ".tar.gz"} {
			if test.name == "bomb" && kind == ".tar" {
				continue // as large as what is in it
			}
			t.Run(test.name+kind, func(t *testing.T) {
				outside := t.TempDir()
				if err := os.WriteFile(filepath.Join(outside, "x.png"), []byte(png), 0o666); err != nil {
					t.Fatal(err)
				}
				members := append([]member{}, test.members...)
				for i := range members {
					members[i].text = strings.ReplaceAll(members[i].text, "ROOT", outside)
				}
				data := makeTar(t, kind == ".tar.gz", members)
				if kind == ".zip" {
					data = makeZip(t, members)
				}
				path := put(t, "a"+kind, data)
				_, err := Open(path, OpenOptions{Splits: []string{"val"}})
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %v, want %s", err, test.err)
				}
				if left, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "ultrafast", "data", partial+"*")); len(left) > 0 {
					t.Errorf("%q are left", left)
				}
			})
		}
	}
}

// TestCutArchives: what was not fetched whole is told from what is no archive of a data set.
func TestCutArchives(t *testing.T) {
	members := []member{{name: "images/a.png", text: pngText(t)}, {name: "labels/a.txt", text: boxText}, {name: "labels/b.txt", text: strings.Repeat(boxText, 100)}}
	for kind, data := range map[string][]byte{".zip": makeZip(t, members), ".tar": makeTar(t, false, members), ".tar.gz": makeTar(t, true, members), ".tgz": nil} {
		_, err := Open(put(t, "a"+kind, data[:len(data)/2]), OpenOptions{})
		if err == nil || !strings.Contains(err.Error(), "a"+kind+": the archive is cut off or broken, as after a broken download: fetch it again") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestHardLinks: tar has a file of two names once. No link leads out.
func TestHardLinks(t *testing.T) {
	for target, want := range map[string]string{"images/train/a.png": "", "../../a.png": "no file of a data set", "images/gone.png": "no such file"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, m := range []member{{name: "images/train/a.png", text: pngText(t)}, {name: "labels/train/a.txt", text: boxText},
			{name: "images/val/a.png", link: target}, {name: "labels/val/a.txt", text: boxText}} {
			h := &tar.Header{Name: m.name, Size: int64(len(m.text)), Mode: 0o644, Typeflag: tar.TypeReg}
			if m.link != "" {
				h.Typeflag, h.Linkname = tar.TypeLink, m.link
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, m.text); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		d, err := Open(put(t, "a.tar", b.Bytes()), OpenOptions{})
		if want == "" && (err != nil || len(d.Val) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, error %v", target, d, err)
		}
	}
}

// TestUnpackStops: an end of the context leaves nothing behind.
func TestUnpackStops(t *testing.T) {
	path := put(t, "a.tar", makeTar(t, false, []member{{name: "a.txt", text: strings.Repeat("a", 1<<20)}}))
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Open(path, OpenOptions{Context: ctx, Progress: func(what string, _, _ int) {
		if strings.HasPrefix(what, "unpacking") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "ultrafast", "data", "*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// forget ends the use of an unpacked archive, as the end of a process does.
func forget(dir string) {
	if f, ok := inUse.LoadAndDelete(dir); ok {
		f.(*os.File).Close()
	}
}

// TestMakeRoom: of three archives the one used longest ago goes, and none that is in use.
func TestMakeRoom(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("nothing is removed there")
	}
	var dirs, paths []string
	path := put(t, "0.tar", makeTar(t, false, []member{{name: "a.txt", text: strings.Repeat("0", 1000)}}))
	cache := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "ultrafast", "data")
	for i := range 3 {
		if i > 0 {
			path = filepath.Join(filepath.Dir(path), fmt.Sprint(i)+".tar")
			if err := os.WriteFile(path, makeTar(t, false, []member{{name: "a.txt", text: strings.Repeat(fmt.Sprint(i), 1000)}}), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		dir, err := unpack(path, OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer forget(dir)
		dirs, paths = append(dirs, dir), append(paths, path)
		when := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	there := func(want ...bool) {
		t.Helper()
		for i, dir := range dirs {
			if exists(dir) != want[i] {
				t.Errorf("archive %d is there: %v", i, !want[i])
			}
		}
	}
	makeRoom(cache, 0)
	there(true, true, true) // all in use
	forget(dirs[0])
	if _, err := unpack(paths[0], OpenOptions{}); err != nil { // now the youngest
		t.Fatal(err)
	}
	for _, dir := range dirs {
		forget(dir)
	}
	makeRoom(cache, 3000)
	there(true, true, true)
	makeRoom(cache, 2999)
	there(true, false, true)
	if _, err := unpack(paths[0], OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	makeRoom(cache, 0)
	there(true, false, false)
	if left, _ := filepath.Glob(filepath.Join(cache, "*")); len(left) != 1 {
		t.Errorf("the cache holds %q", left)
	}
	if _, err := unpack(paths[1], OpenOptions{}); err != nil || !exists(dirs[1]) {
		t.Errorf("unpacked again: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	members := []member{{name: "images/a.png", text: "x"}, {name: "labels/a.txt", text: boxText}, {name: "images/b", link: "a"}}
	f.Add(makeZip(f, members), uint8(0))
	f.Add(makeTar(f, false, members), uint8(1))
	f.Add(makeTar(f, true, members), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		path := put(t, "a"+[]string{".zip", ".tar", ".tar.gz"}[kind%3], data)
		dir, err := unpack(path, OpenOptions{})
		if err != nil {
			return
		}
		forget(dir)
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is %v", path, d.Type())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
