// Package certificate makes certificates for servers that tests start.
package certificate

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

// Pair is a certificate for 127.0.0.1 that nobody else trusts, and its key.
type Pair struct {
	// Client is the configuration of a client that trusts it, and nothing else.
	Client *tls.Config
	// File and KeyFile are the paths of the certificate and of its key, in PEM.
	File, KeyFile string
}

// New makes a certificate that lasts an hour, with its files in dir.
func New(dir string) (*Pair, error) {
	der, key, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(parsed)
	p := &Pair{
		Client:  &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		File:    filepath.Join(dir, "server.crt"),
		KeyFile: filepath.Join(dir, "server.key"),
	}
	for path, block := range map[string]*pem.Block{
		p.File:    {Type: "CERTIFICATE", Bytes: der},
		p.KeyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
	}
	return p, nil
}

// selfSigned returns a certificate and its key in PKCS #8.
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
