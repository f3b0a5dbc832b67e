package policies

import (
	"cmp"
	"fmt"
	"strings"

	"wye/policies/policyv1"
)

// reservedHeaders are those of a request's own shape and of the connection, which
// Envoy writes.
var reservedHeaders = map[string]bool{
	"host": true, "content-length": true, "content-type": true, "content-encoding": true, "transfer-encoding": true,
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true, "upgrade": true, "expect": true,
	"accept-encoding": true,
}

// keyHeaders are headers whose value is a key.
var keyHeaders = map[string]bool{
	"authorization": true, "proxy-authorization": true, "api-key": true, "x-api-key": true, "cookie": true,
}

// checkHeaders refuses headers that a backend must not set, and keys in plain
// sight.
func (c *checker) checkHeaders(path string, b *policyv1.Backend) {
	seen := make(map[string]string)
	credential := ""
	if b.GetCredential() != nil {
		credential = strings.ToLower(cmp.Or(b.GetCredential().GetHeader(), defaultHeaders[b.GetProtocol()], "Authorization"))
	}
	for i, h := range b.GetHeaders() {
		at := fmt.Sprintf("%s.headers[%d]", path, i)
		name := strings.ToLower(h.GetName())
		switch {
		case seen[name] != "":
			c.errorf(at+".name", "header %s is stated twice, first in %s", quote(name), seen[name])
		case reservedHeaders[name] || strings.HasPrefix(name, "x-wye-") || strings.HasPrefix(name, "x-envoy-"):
			c.errorf(at+".name", "header %s is not a backend's to set", quote(name))
		case name == credential && name != "":
			c.errorf(at+".name", "header %s carries the credential", quote(name))
		case keyHeaders[name] && h.GetValue() != "":
			c.errorf(at+".value", "the value of header %s is a key, which must come from env or file", quote(name))
		}
		seen[name] = at
	}
}
