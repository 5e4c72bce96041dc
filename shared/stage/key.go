package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	nameMax  = 120 // bytes of one name in a key; file systems take 255
	nameKeep = 80  // bytes of a longer one that stay readable
)

// Dir is the folder of one attempt at a slice:
// function/table/slice/fence, as in thoughtindustries/logins/2025-01-01/000003.
// Letters, digits, '.', '_', '=' and '-' stay; every other byte becomes ~ and two
// hex digits; a long name is cut and ends in ~h and a digest. Different arguments
// give different folders, and a local stage's path is its folder and the key.
func Dir(function, table, slice string, fence int64) string {
	return path.Join(name(function), name(table), name(slice), fmt.Sprintf("%06d", fence))
}

// name makes one name of a key.
func name(s string) string {
	if s == "" {
		return "~" // no escape looks like it
	}
	var b strings.Builder
	for i := range len(s) {
		if safe(s, i) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "~%02X", s[i])
		}
	}
	if b.Len() <= nameMax {
		return b.String()
	}
	sum := sha256.Sum256([]byte(s))
	return b.String()[:nameKeep] + "~h" + hex.EncodeToString(sum[:16])
}

// safe reports whether byte i of a name may stay. A dot in front would hide a
// file or leave the folder, and fileblob has a use for "__0x" and ".attrs".
func safe(s string, i int) bool {
	switch {
	case s[i] == '.':
		return i > 0 && s[i:] != ".attrs" && s[i:] != ".tmp"
	case s[i] == '_':
		return !strings.HasPrefix(s[i:], "__0x")
	}
	return plain(s[i])
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._=-", c) >= 0
}

// checkKey refuses a key that a bucket would store under another name.
func checkKey(key string) error {
	ok := key != "" && !strings.Contains(key, "__0x") && !strings.HasSuffix(key, ".attrs") && !unfinished(key)
	for n := range strings.SplitSeq(key, "/") {
		ok = ok && n != "" && n[0] != '.'
		for i := range len(n) {
			ok = ok && (plain(n[i]) || n[i] == '~')
		}
	}
	if !ok {
		return fault.New(fault.Invalid, "stage: %q is no key; make folders with stage.Dir and use letters, digits and . _ = - for names", key)
	}
	return nil
}

const manifestName = "/manifest.json"

// ManifestKey is the key of the manifest of an attempt's folder.
func ManifestKey(dir string) string { return dir + manifestName }

// IsManifest reports whether key is a manifest's. Events come for every object.
func IsManifest(key string) bool {
	return strings.HasSuffix(key, manifestName) && !kept(key)
}

func kept(key string) bool {
	return strings.HasPrefix(key, Corrupt) || strings.HasPrefix(key, Raw)
}

// sliceOf is the folder of all attempts at the slice that an object belongs to;
// false for what lies elsewhere.
func sliceOf(key string) (string, bool) {
	names := strings.Split(key, "/")
	if len(names) < 5 || kept(key) {
		return "", false
	}
	return strings.Join(names[:3], "/") + "/", true
}
