package main

import (
	"archive/zip"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// epoch is the time of every entry: the earliest that a zip can write.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// archive writes the files below dir to a zip at path, in the order of their
// names, and returns its size and SHA-256. A file that is executable stays so; no
// other property of a file gets in. Nothing is left at path on failure.
func archive(dir, path string) (size int64, digest string, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".package-*")
	if err != nil {
		return 0, "", err
	}
	defer os.Remove(tmp.Name()) // it is gone when all went well
	defer tmp.Close()
	hash := sha256.New()
	count := &counter{}
	if err := write(dir, io.MultiWriter(tmp, hash, count)); err != nil {
		return 0, "", err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return 0, "", err
	}
	if err := tmp.Close(); err != nil {
		return 0, "", err
	}
	return count.n, hex.EncodeToString(hash.Sum(nil)), os.Rename(tmp.Name(), path)
}

func write(dir string, w io.Writer) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	// WalkDir goes in the order of names.
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return add(z, dir, path, d)
	})
	if err != nil {
		return err
	}
	return z.Close()
}

func add(z *zip.Writer, dir, path string, d fs.DirEntry) error {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	h := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate, Modified: epoch}
	h.SetMode(0o644)
	if info.Mode()&0o100 != 0 {
		h.SetMode(0o755)
	}
	to, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

// counter counts bytes.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
