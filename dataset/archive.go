package dataset

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ultrafast/picture"
)

// What is refused in an archive. A bomb is told by what comes out of it: pictures do not
// shrink, and labels as text become a tenth at best.
const (
	maxEntries    = 2*maxPictures + 1_000_000
	maxRatio      = 200       // of what is unpacked to the archive
	freeUnpacked  = 100 << 20 // bytes to which maxRatio does not apply
	staleUnpacked = 24 * time.Hour
)

func isArchive(path string) bool {
	name := strings.ToLower(path)
	return slices.ContainsFunc([]string{".zip", ".tar", ".tar.gz", ".tgz"}, func(ext string) bool { return strings.HasSuffix(name, ext) })
}

// unpack returns the folder in the user's cache that holds what an archive does. It is
// named after the archive's content, and made once; those used longest ago go for it.
func unpack(path string, o OpenOptions) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	u := &unpacker{f: f, size: st.Size(), o: o, name: filepath.Base(path)}
	hash := sha256.New()
	if _, err := io.Copy(hash, u.watch("reading")); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%s: there is no folder to unpack to: %w", path, err)
	}
	cache = filepath.Join(cache, "ultrafast", "data")
	final := filepath.Join(cache, hex.EncodeToString(hash.Sum(nil))[:32])
	if use(final) {
		return final, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	sweep(cache)
	u.dir, err = os.MkdirTemp(cache, partial)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(u.dir) // once renamed it is no more
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if strings.HasSuffix(strings.ToLower(path), ".zip") {
		err = u.zip()
	} else {
		err = u.tar(strings.HasSuffix(strings.ToLower(path), "gz"))
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, zip.ErrFormat): // a zip's directory is at its end
		return "", fmt.Errorf("%s: the archive is cut off or broken, as after a broken download: fetch it again", path)
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(u.dir, final); !use(final) { // another process may have been faster
		return "", cmp.Or(err, fmt.Errorf("%s: what was unpacked to %s is gone again", path, final))
	}
	limit := int64(keepUnpacked)
	if free, err := freeBytes(cache); err == nil {
		limit = max(limit, free/10)
	}
	makeRoom(cache, limit)
	return final, nil
}

// partial begins the names of folders that are being unpacked to.
const partial = "partial-"

// sweep removes what processes left that were killed while they unpacked.
func sweep(cache string) {
	old, _ := filepath.Glob(filepath.Join(escapeGlob(cache), partial+"*"))
	for _, dir := range old {
		if st, err := os.Stat(dir); err == nil && time.Since(st.ModTime()) > staleUnpacked {
			os.RemoveAll(dir)
		}
	}
}

// An unpacker writes the files of an archive below dir.
type unpacker struct {
	f       *os.File
	name    string
	size    int64 // of the archive
	dir     string
	entries int
	written int64
	o       OpenOptions
}

// watch returns a reader of the archive that tells how far it is, and ends when it is to.
func (u *unpacker) watch(what string) io.Reader {
	return &watched{u: u, what: what + " " + u.name + " (MB)"}
}

type watched struct {
	u    *unpacker
	what string
	read int64
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.u.o.err(); err != nil {
		return 0, err
	}
	n, err := w.u.f.Read(p)
	w.read += int64(n)
	w.u.o.progress(w.what, int(w.read>>20), int(w.u.size>>20)+1)
	return n, err
}

func (u *unpacker) zip() error {
	z, err := zip.NewReader(u.f, u.size)
	if err != nil {
		return err
	}
	for i, e := range z.File {
		if err := u.o.err(); err != nil {
			return err
		}
		u.o.progress("unpacking "+u.name, i+1, len(z.File))
		mode := e.Mode()
		write, err := u.admit(e.Name, mode.IsDir(), mode.IsRegular())
		if err != nil {
			return err
		}
		if !write {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", quote(e.Name), err)
		}
		err = u.write(e.Name, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) tar(zipped bool) error {
	in := u.watch("unpacking")
	if zipped {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		defer z.Close()
		in = z
	}
	t := tar.NewReader(in)
	for {
		e, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Typeflag == tar.TypeXGlobalHeader {
			continue // a remark, as git archive makes it
		}
		write, err := u.admit(e.Name, e.Typeflag == tar.TypeDir, e.Typeflag == tar.TypeReg || e.Typeflag == tar.TypeLink)
		if err != nil {
			return err
		}
		switch {
		case write && e.Typeflag == tar.TypeLink:
			if err := u.link(e.Name, e.Linkname); err != nil {
				return err
			}
		case write:
			if err := u.write(e.Name, t); err != nil {
				return err
			}
		}
	}
}

// admit checks an entry and reports whether it is a file that a data set has.
func (u *unpacker) admit(name string, isDir, isFile bool) (bool, error) {
	if u.entries++; u.entries > maxEntries {
		return false, fmt.Errorf("more than %d entries", maxEntries)
	}
	local := filepath.FromSlash(strings.TrimPrefix(strings.TrimSuffix(name, "/"), "./"))
	switch {
	case isDir:
		return false, nil // made with their files
	case !filepath.IsLocal(local) || strings.ContainsAny(local, "\x00\\"):
		return false, fmt.Errorf("the entry %s leads out of the archive: unpack it yourself if you trust it, and give the folder", quote(name))
	case !isFile:
		return false, fmt.Errorf("the entry %s is a link or a device: unpack the archive yourself if you trust it, and give the folder", quote(name))
	}
	for part := range strings.SplitSeq(filepath.ToSlash(local), "/") {
		if strings.HasPrefix(part, ".") || part == "__MACOSX" {
			return false, nil
		}
	}
	return isPicture(local) || slices.Contains([]string{".txt", ".xml", ".json", ".yaml", ".yml"}, strings.ToLower(filepath.Ext(local))), nil
}

// link makes an admitted file the same as an earlier one, as tar keeps files with two names.
func (u *unpacker) link(name, target string) error {
	if ok, err := u.admit(target, false, true); err != nil || !ok {
		return fmt.Errorf("the entry %s is a link to %s, which is no file of a data set", quote(name), quote(target))
	}
	path := filepath.Join(u.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(u.dir, filepath.FromSlash(target)), path); err != nil {
		return fmt.Errorf("the entry %s is a link to %s: %s", quote(name), quote(target), reason(err))
	}
	return nil
}

// write writes an admitted file.
func (u *unpacker) write(name string, r io.Reader) error {
	path := filepath.Join(u.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("the entry %s is there twice", quote(name))
	}
	if err != nil {
		return err
	}
	limit := int64(picture.MaxBytes)
	if strings.EqualFold(filepath.Ext(name), ".json") {
		limit = maxCOCOBytes
	}
	room := max(u.size*maxRatio, freeUnpacked) - u.written
	n, err := io.Copy(f, io.LimitReader(r, min(limit, room)+1))
	u.written += n
	if closed := f.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", quote(name), err)
	case n > limit:
		return fmt.Errorf("the entry %s is larger than %d MB", quote(name), limit/1_000_000)
	case n > room:
		return fmt.Errorf("what is in it is more than %d times as large as the archive: no data set is", maxRatio)
	}
	return nil
}
