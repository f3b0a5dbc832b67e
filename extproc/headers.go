package extproc

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"wye/envoy"
	"wye/router"
	"wye/wire"
)

// requestFacts is what the headers say.
type requestFacts struct {
	mode          router.Mode // ModeDefault: no override
	coding        coding
	contentLength int
	api           router.API
	// deployment is the one that the path names, nil when the body does.
	deployment []byte
	// repath is set when the path is not the one that providers know.
	repath bool
	trace  bool // the client wants to see the decision
	// remove names the x-wye-* headers that came with the request and must not
	// leave with it.
	remove []string
	// relabel is set when the content-type does not say JSON, as the body has to.
	relabel bool
	// session is a key of the client's name for the conversation, 0: it has none.
	session, azureSession uint64
	// callers are the names of the caller that limits go by.
	callers []callerName
}

func (f *requestFacts) reset() { *f = requestFacts{remove: f.remove[:0], callers: f.callers[:0]} }

// read takes the facts from the headers. Names are lower case, as Envoy writes
// them. A header that is not there says nothing: which ones are forwarded is
// Envoy's configuration.
func (f *requestFacts) read(headers []header) *wire.Problem {
	var problem *wire.Problem
	for i := range headers {
		h := &headers[i]
		var p *wire.Problem
		switch string(h.key) {
		case ":path":
			p = f.takePath(h.value)
		case ":method":
			if string(h.value) != http.MethodPost {
				p = refuse(http.StatusMethodNotAllowed, codeMethod, "", "the method %.32q is not allowed here; use POST", h.value)
			}
		case "content-type":
			p = f.takeContentType(h.value)
		case "content-encoding":
			if f.coding != codingIdentity {
				f.coding = codingUnsupported // a second one, on top of the first
			} else {
				f.coding = parseCoding(h.value)
			}
			if f.coding == codingUnsupported {
				p = refuse(http.StatusUnsupportedMediaType, codeContentEncoding, "",
					"the content-encoding %.64q is not supported; send gzip, br, zstd or no encoding", h.value)
			}
		case "content-length":
			if n, err := strconv.Atoi(string(h.value)); err == nil && n > 0 {
				f.contentLength = n
			}
		case envoy.HeaderMode:
			f.remove = append(f.remove, envoy.HeaderMode)
			mode, ok := router.ParseMode(bytes.TrimSpace(h.value))
			switch {
			case !ok:
				p = refuse(http.StatusBadRequest, codeInvalidMode, "",
					"the header "+envoy.HeaderMode+" is %.64q; it can be quality, balanced or cost", h.value)
			case f.mode != router.ModeDefault:
				p = refuse(http.StatusBadRequest, codeInvalidMode, "", "the header "+envoy.HeaderMode+" is there twice")
			}
			f.mode = mode
		case envoy.HeaderTrace:
			p = f.takeTrace(h.value)
		case envoy.HeaderSession:
			f.remove = append(f.remove, envoy.HeaderSession)
			f.session, p = takeSession(envoy.HeaderSession, h.value, f.session)
		case envoy.HeaderAzureSession:
			f.azureSession, p = takeSession(envoy.HeaderAzureSession, h.value, f.azureSession)
		default:
			if bytes.HasPrefix(h.key, []byte(envoy.HeaderPrefix)) {
				f.remove = append(f.remove, string(h.key))
			}
		}
		if problem == nil {
			problem = p
		}
	}
	return problem
}

// takeContentType takes application/json with any parameters: JSON is UTF-8
// whatever a charset says. What curl and browsers say of a body when they are
// told nothing is taken for a JSON body's, too; a provider is told the truth.
func (f *requestFacts) takeContentType(v []byte) *wire.Problem {
	name, _, _ := bytes.Cut(v, []byte(";"))
	switch strings.ToLower(string(bytes.TrimSpace(name))) {
	case "application/json":
		return nil
	case "application/x-www-form-urlencoded", "text/plain":
		f.relabel = true
		return nil
	}
	return refuse(http.StatusUnsupportedMediaType, codeMediaType, "", "the content-type %.64q is not supported; send application/json", v)
}
