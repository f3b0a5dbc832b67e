// Package mtls is how Wye's own servers know who calls: TLS with certificates
// on both sides, read from files that may be replaced at any time, and the data
// zone that a client's identity is bound to.
package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"wye/envoy"
)

// Files are paths of PEM files.
type Files struct {
	Cert string // the server's certificate, and what leads from it to a root
	Key  string // its private key
	CA   string // roots of the clients' certificates
}

// recheck is how often at most the files are looked at; a handshake does it.
const recheck = time.Second

// Server is a server's side of TLS. It is safe for concurrent use.
type Server struct {
	files Files
	log   zerolog.Logger
	now   func() time.Time

	mu      sync.Mutex
	looked  time.Time
	content [3][]byte // of the files, as current was made from
	refused [3][]byte // likewise, of what was no good
	current *tls.Config
}

// Load reads the files. A fault in them is an error now; later, what was good
// before stays in use and the log says why.
func Load(f Files, log zerolog.Logger) (*Server, error) {
	s := &Server{files: f, log: log, now: time.Now}
	content, err := f.read()
	if err != nil {
		return nil, err
	}
	if s.current, err = config(content); err != nil {
		return nil, err
	}
	s.content, s.looked = content, s.now()
	return s, nil
}

// Config is for a listener. Clients must present a certificate that one of the
// roots vouches for.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return s.latest(), nil
		},
	}
}

// latest takes up files that have changed.
func (s *Server) latest() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.looked) < recheck {
		return s.current
	}
	s.looked = now
	content, err := s.files.read()
	if err != nil {
		s.log.Error().Err(err).Msg("certificates cannot be read; the former ones stay in use")
		return s.current
	}
	if equal(content, s.content) || equal(content, s.refused) {
		return s.current
	}
	made, err := config(content)
	if err != nil {
		// A certificate and its key are two files: for a moment they may not match.
		s.refused = content
		s.log.Error().Err(err).Msg("certificates are refused; the former ones stay in use")
		return s.current
	}
	s.content, s.current = content, made
	s.log.Info().Msg("certificates have changed")
	return made
}

func equal(a, b [3][]byte) bool {
	return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1]) && bytes.Equal(a[2], b[2])
}

func (f Files) read() (content [3][]byte, err error) {
	var errs []error
	for i, file := range []string{f.Cert, f.Key, f.CA} {
		content[i], err = os.ReadFile(file)
		errs = append(errs, err)
	}
	return content, errors.Join(errs...)
}

func config(content [3][]byte) (*tls.Config, error) {
	cert, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content[2]) {
		return nil, errors.New("CA: there is no certificate in the file")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
	}, nil
}

// Client returns a client's side of TLS, from the files of now: its own
// certificate and key, and as CA the roots of the server's. serverName is whom
// the server's certificate must be for.
func Client(f Files, serverName string) (*tls.Config, error) {
	content, err := f.read()
	if err != nil {
		return nil, err
	}
	c, err := config(content)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: c.Certificates, NextProtos: c.NextProtos,
		RootCAs: c.ClientCAs, ServerName: serverName,
	}, nil
}

// OwnZone is the data zone that a certificate of the files' own binds them to.
func (f Files) OwnZone() (string, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return "", err
	}
	own, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return "", err
	}
	return Zone(own)
}

// Zone is the data zone that a verified certificate binds its owner to, "global"
// for all: the segment after "zone" in the path of its SPIFFE identity, as in
// spiffe://example.org/wye/zone/eu/gateway-1. A certificate that names no zone,
// or more than one, is an error: what it may see is not known.
func Zone(c *x509.Certificate) (string, error) {
	zone := ""
	for _, uri := range c.URIs {
		if uri.Scheme != "spiffe" {
			continue
		}
		segments := strings.Split(strings.TrimPrefix(uri.Path, "/"), "/")
		for i := 0; i+1 < len(segments); i++ {
			if segments[i] != "zone" {
				continue
			}
			found := segments[i+1]
			if !envoy.IsZone(found) || zone != "" {
				return "", fmt.Errorf("identity %s does not name one data zone", uri)
			}
			zone = found
		}
	}
	if zone == "" {
		return "", errors.New("the certificate has no SPIFFE identity with a segment zone/NAME")
	}
	return zone, nil
}
