package redisproc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate is one for 127.0.0.1 that nobody else trusts.
type Certificate struct {
	// Client is the configuration of a client that trusts it, and nothing else.
	Client *tls.Config

	certificate, key string // paths of PEM files
}

// NewCertificate makes a certificate, with its files in dir.
func NewCertificate(dir string) (*Certificate, error) {
	der, key, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("redisproc: certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("redisproc: certificate: %w", err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(parsed)
	c := &Certificate{
		Client:      &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		certificate: filepath.Join(dir, "redis.crt"),
		key:         filepath.Join(dir, "redis.key"),
	}
	for path, block := range map[string]*pem.Block{
		c.certificate: {Type: "CERTIFICATE", Bytes: der},
		c.key:         {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, fmt.Errorf("redisproc: certificate: %w", err)
		}
	}
	return c, nil
}

// selfSigned returns a certificate that lasts an hour, and its key in PKCS #8.
func selfSigned() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "roomcast test"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(private)
	return certificate, key, err
}

// args are the options of a server with this certificate on port.
func (c *Certificate) args(port string) []string {
	return []string{
		"--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", c.certificate, "--tls-key-file", c.key, "--tls-ca-cert-file", c.certificate,
	}
}
