package ociusagetest

import (
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

const skewMax = 5 * time.Minute // of a request's date; the limit is assumed

// key is the API key of all twins of a process: making one takes long, and no
// test is about its value.
var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the system has no randomness
	}
	return k
})

// Key is the private API key as PEM text, new in every process.
func Key() string {
	der, err := x509.MarshalPKCS8PrivateKey(key())
	if err != nil {
		panic(err) // not for an RSA key
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Fingerprint is the public key's, as Oracle's console shows it.
func Fingerprint() string {
	der, err := x509.MarshalPKIXPublicKey(&key().PublicKey)
	if err != nil {
		panic(err) // not for an RSA key
	}
	pairs := make([]string, md5.Size)
	for i, b := range md5.Sum(der) {
		pairs[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(pairs, ":")
}

// parameter is one name="value" of the Authorization header.
var parameter = regexp.MustCompile(`([a-zA-Z]+)="([^"]*)"`)

// verify checks a signature after draft-cavage-http-signatures-08, as Oracle uses
// it: date, (request-target) and host, in the order the request names them.
func verify(r *http.Request, now time.Time) error {
	rest, found := strings.CutPrefix(r.Header.Get("Authorization"), "Signature ")
	if !found {
		return errors.New("no Authorization: Signature")
	}
	p := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
		p[m[1]] = m[2]
	}
	date, err := http.ParseTime(r.Header.Get("Date"))
	signature, err64 := base64.StdEncoding.DecodeString(p["signature"])
	switch {
	case p["version"] != "1" || p["algorithm"] != "rsa-sha256":
		return errors.New("want version 1 and rsa-sha256")
	case p["keyId"] != Tenancy+"/"+User+"/"+Fingerprint():
		return errors.New("unknown keyId")
	case err != nil || date.Sub(now).Abs() > skewMax:
		return errors.New("the date is not now")
	case err64 != nil:
		return errors.New("the signature is not base64")
	}
	text, err := signingString(r, strings.Fields(p["headers"]))
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	if rsa.VerifyPKCS1v15(&key().PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return errors.New("the signature does not match")
	}
	return nil
}

// signingString is what was signed; the target is taken as it was on the wire.
func signingString(r *http.Request, names []string) (string, error) {
	missing := map[string]bool{"date": true, "(request-target)": true, "host": true}
	lines := make([]string, len(names))
	for i, name := range names {
		delete(missing, name)
		value := r.Header.Get(name)
		switch name {
		case "(request-target)":
			value = strings.ToLower(r.Method) + " " + r.RequestURI
		case "host":
			value = r.Host
		}
		lines[i] = name + ": " + value
	}
	if len(missing) > 0 {
		return "", errors.New("date, (request-target) and host must be signed")
	}
	return strings.Join(lines, "\n"), nil
}
