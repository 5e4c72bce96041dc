package snowflaketest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// verify checks a key pair login as the service does: who says it, for how long,
// and that the user's key has signed it.
func verify(token, account, user string, key *rsa.PublicKey) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("a JWT has three parts")
	}
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
		Expires int64  `json:"exp"`
		Issued  int64  `json:"iat"`
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	print := sha256.Sum256(der)
	name := strings.ToUpper(account + "." + user)
	if claims.Subject != name || claims.Issuer != name+".SHA256:"+base64.StdEncoding.EncodeToString(print[:]) {
		return errors.New("issuer or subject is not the user's")
	}
	now := time.Now()
	if now.After(time.Unix(claims.Expires, 0)) || now.Add(time.Minute).Before(time.Unix(claims.Issued, 0)) {
		return errors.New("it has expired, or is not valid yet")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
}
