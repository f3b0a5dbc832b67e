package sidecar

import (
	"context"
	"errors"
	"net"

	"github.com/rs/zerolog"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"wye/internal/mtls"
)

// security is the TLS of the sidecar's servers; nil asks for none.
type security struct{ server *mtls.Server }

func newSecurity(files *mtls.Files, log zerolog.Logger) (*security, error) {
	if files == nil {
		return nil, nil
	}
	server, err := mtls.Load(*files, log)
	if err != nil {
		return nil, errors.Join(errors.New("TLS of Wye's servers"), err)
	}
	return &security{server}, nil
}

// of returns what a listener's connections need, nil for plain text.
func (s *security) of(l net.Listener) credentials.TransportCredentials {
	if s == nil || l.Addr().Network() == "unix" {
		return nil
	}
	return credentials.NewTLS(s.server.Config())
}

// identify returns the data zone of whoever opened a stream, by the certificate
// that the handshake has verified.
func identify(ctx context.Context) (zone string, err error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("the stream has no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return "", errors.New("the client has shown no certificate")
	}
	return mtls.Zone(info.State.VerifiedChains[0][0])
}

// Secure is what another server of Wye's needs to ask for certificates as a
// sidecar does: options for the server, and who calls. Both are nil where l is a
// Unix socket or files is nil.
func Secure(files *mtls.Files, l net.Listener, log zerolog.Logger) (credentials.TransportCredentials, func(context.Context) (string, error), error) {
	s, err := newSecurity(files, log)
	if err != nil {
		return nil, nil, err
	}
	if c := s.of(l); c != nil {
		return c, identify, nil
	}
	return nil, nil, nil
}
