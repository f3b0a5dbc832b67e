package rig

import (
	"bytes"
	"net"
	"sync/atomic"
)

// soundListener counts what its connections carry that is no HTTP request,
// such as bytes beyond a request's content-length: the next request on the
// connection would suffer from them, and it may be another client's.
type soundListener struct {
	net.Listener
	unsound *atomic.Int64
}

// Accept implements net.Listener.
func (l soundListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return soundConn{conn, l.unsound}, nil
}

// soundConn recognises net/http's own answer to a malformed request, which no
// handler sees.
type soundConn struct {
	net.Conn
	unsound *atomic.Int64
}

var malformed = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write implements net.Conn.
func (c soundConn) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, malformed) {
		c.unsound.Add(1)
	}
	return c.Conn.Write(b)
}
