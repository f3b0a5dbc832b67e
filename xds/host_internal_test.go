package xds

import (
	"testing"

	"wye/envoy"
)

func TestHostHeader(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"api.example.com:443": "api.example.com", "api.example.com:8443": "api.example.com:8443",
		"[2001:db8::1]:443": "[2001:db8::1]", "[::1]:80": "[::1]", "[::1]:8080": "[::1]:8080", "unix:/run/m.sock": "localhost",
	} {
		a, err := envoy.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostHeader(a); got != want {
			t.Errorf("host of %s is %q, want %q", address, got, want)
		}
	}
}
