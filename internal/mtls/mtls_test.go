package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"wye/internal/mtls"
	"wye/internal/testca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestZone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		uris []string
		want string
		err  string
	}{
		{[]string{"spiffe://example.org/wye/zone/eu/gateway-1"}, "eu", ""},
		{[]string{"spiffe://example.org/zone/eu"}, "eu", ""},
		{[]string{"spiffe://example.org/zone/global"}, "global", ""},
		{[]string{"https://example.org/zone/us", "spiffe://example.org/zone/eu"}, "eu", ""},
		{nil, "", "no SPIFFE identity"},
		{[]string{"spiffe://example.org/ns/x/sa/y"}, "", "no SPIFFE identity"},
		{[]string{"spiffe://example.org/zone"}, "", "no SPIFFE identity"},
		{[]string{"https://example.org/zone/eu"}, "", "no SPIFFE identity"},
		{[]string{"spiffe://zone/eu"}, "", "no SPIFFE identity"},
		{[]string{"spiffe://example.org/zone/"}, "", "does not name one"},
		{[]string{"spiffe://example.org/zone/EU"}, "", "does not name one"},
		{[]string{"spiffe://example.org/zone/eu/zone/us"}, "", "does not name one"},
		{[]string{"spiffe://example.org/zone/eu", "spiffe://example.org/zone/us"}, "", "does not name one"},
	} {
		c := new(x509.Certificate)
		for _, u := range tt.uris {
			parsed, err := url.Parse(u)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, parsed)
		}
		got, err := mtls.Zone(c)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: zone %q, %v", tt.uris, got, err)
		}
	}
}

// files has a CA write what a server needs into dir.
func files(t *testing.T, ca *testca.CA, dir, name string) mtls.Files {
	t.Helper()
	var f mtls.Files
	f.Cert, f.Key, f.CA = ca.Files(t, dir, name)
	return f
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// handshake returns the name of the server's certificate.
func handshake(t *testing.T, addr string, client *testca.CA, present bool) (string, error) {
	t.Helper()
	cert, key := client.Issue(t, "client")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the server's name is what the test looks at
	if present {
		c.Certificates = []tls.Certificate{pair}
	}
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// TLS 1.3 tells of a refused client only on the first read.
	if _, err := io.ReadAll(conn); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// Only clients with a certificate of the CA get in; new files count without a
// restart, and bad ones change nothing.
func TestServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, theirs := testca.New(t, "ours"), testca.New(t, "theirs")
	of := files(t, ours, dir, "first")
	s, err := mtls.Load(of, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.Config())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if tc, ok := c.(*tls.Conn); ok {
				_ = tc.Handshake() // the client tells
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	addr := l.Addr().(*net.TCPAddr).String()
	expect := func(what string, client *testca.CA, present bool, want string) {
		t.Helper()
		got, err := handshake(t, addr, client, present)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: server %q, %v", what, got, err)
		}
	}
	expect("with a certificate", ours, true, "first")
	expect("without one", ours, false, "")
	expect("with another CA's", theirs, true, "")

	write(t, of.Cert, []byte("no certificate"))
	time.Sleep(1100 * time.Millisecond)
	expect("after a bad edit", ours, true, "first")
	if err := os.Remove(of.Key); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	expect("after a file has gone", ours, true, "first")
	files(t, theirs, dir, "second")
	time.Sleep(1100 * time.Millisecond)
	expect("after a rotation, with the new CA's", theirs, true, "second")
	expect("after a rotation, with the former CA's", ours, true, "")
}

func TestLoadFaults(t *testing.T) {
	t.Parallel()
	a := testca.New(t, "a")
	for name, tt := range map[string]struct {
		spoil func(mtls.Files)
		want  string
	}{
		"no certificate": {func(f mtls.Files) { _ = os.Remove(f.Cert) }, "no such file"},
		"no key":         {func(f mtls.Files) { _ = os.Remove(f.Key) }, "no such file"},
		"another's key":  {func(f mtls.Files) { _, key := a.Issue(t, "x"); write(t, f.Key, key) }, "certificate and key"},
		"an empty CA":    {func(f mtls.Files) { write(t, f.CA, nil) }, "CA: there is no certificate"},
	} {
		f := files(t, a, t.TempDir(), "server")
		tt.spoil(f)
		if _, err := mtls.Load(f, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
