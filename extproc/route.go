package extproc

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"wye/envoy"
	"wye/router"
	"wye/wire"
)

// decide has the snapshot that is in force now route the complete request.
func (st *stream) decide(now time.Time) *wire.Problem {
	if p := st.decodeBody(); p != nil {
		return p
	}
	body := st.bytes()
	if p := wire.ScanShape(ShapeOf(st.facts.api), st.facts.deployment, body, &st.scan); p != nil {
		return p
	}
	// The policy may have changed while the body arrived, and what the old one
	// alone has may be gone from Envoy before the last attempt.
	before, snapshot := st.prepared, st.snapshot()
	st.prepared = st.server.prepared.of(snapshot, st.server.config.MaxBodyBytes)
	st.settled = st.prepared.settled(before, now, st.server.config.RouteLag)
	d := snapshot.Deployment(st.scan.Model)
	if d != nil {
		if limit := bodyLimit(d, st.server.config.MaxBodyBytes); len(body) > limit {
			return tooLarge(limit)
		}
	}
	RequestOf(&st.scan, &st.request)
	st.request.API = st.facts.api
	st.request.Mode = st.facts.mode
	if p := Restrict(&st.request, snapshot, &st.scan, body); p != nil {
		return p
	}
	if d != nil {
		st.heedBudget(d)
		st.recall(d)
	}
	if err := snapshot.Route(&st.request, &st.decision); err != nil {
		p := routeProblem(err)
		if err.Kind == router.ErrModeNotAllowed && st.scan.Routing.Mode != nil {
			p.Param = paramMode
		}
		return p
	}
	if p := Undetermined(&st.request, &st.scan, &st.decision); p != nil {
		return p
	}
	if p := st.charge(); p != nil {
		return p
	}
	st.reserveCost()
	st.remember()
	return nil
}

// RequestOf fills req with what a scan found: the facts that routing needs, with
// nothing of what a client may ask of the router beside them: see Restrict. The
// views are the scan's.
func RequestOf(f *wire.Facts, req *router.Request) {
	var needs router.Capability
	for _, n := range [...]struct {
		needed     bool
		capability router.Capability
	}{
		{f.HasTools, router.CapTools},
		{f.Parallel, router.CapParallelTools},
		{f.HasImages, router.CapVision},
		{f.HasSchema, router.CapJSONSchema},
		{f.HasPDF, router.CapPDF},
	} {
		if n.needed {
			needs |= n.capability
		}
	}
	*req = router.Request{
		Deployment:      f.Model,
		Needs:           needs,
		ToolTypes:       f.ToolTypes,
		PromptTokens:    f.PromptTokens,
		PromptTokensMax: f.PromptTokensMax,
		OutputCap:       f.OutputCap,
		Choices:         f.Choices,
		Hash:            f.PrefixHash,
		Text: router.Text{
			System: f.SystemText, User: f.UserText, History: f.HistoryText, Tools: f.ToolsText,
			Bytes: f.TextBytes, TurnBytes: f.TurnBytes, Turns: f.Messages, Tool: f.ToolCount, Images: f.ImageCount,
		},
	}
}

// decodeBody undoes the request's content-encoding.
func (st *stream) decodeBody() *wire.Problem {
	if st.facts.coding == codingIdentity {
		return nil
	}
	s := st.server
	decoded := s.buffers.Get(0)
	var err error
	*decoded, err = s.decoders.decode(*decoded, st.bytes(), st.facts.coding, st.limit, st.reserve)
	if st.body != nil {
		s.buffers.Put(st.body)
	}
	st.body = decoded
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDecodedTooLarge):
		return tooLarge(st.limit)
	case errors.Is(err, errOverBudget):
		return errOverloaded
	}
	return refuse(http.StatusBadRequest, codeInvalidEncoding, "", "the request body is not what its content-encoding says: %v", err)
}

// rewrite makes the body that the chain's first backend expects.
func (st *stream) rewrite() *[]byte {
	model, backend := st.decision.First()
	out := st.server.buffers.Get(len(st.bytes()) + rewriteSlack)
	st.edit = wire.Edit{
		Model: backend.SendAs, Drop: model.Parameters.Drop, MaxTokensField: model.Parameters.MaxTokensField,
		ReasoningEffort: model.Parameters.ReasoningEffort,
	}
	if st.facts.api != router.APIChat {
		st.edit.MaxTokensField = "" // other APIs have one name
	}
	*out = wire.AppendRewrite((*out)[:0], st.bytes(), &st.scan, st.edit)
	st.dropped = wire.AppendDropped(st.dropped[:0], &st.scan, st.edit)
	to, ok := backend.Translates(st.facts.api)
	if st.removed = st.removed[:0]; ok || len(st.decision.Chain) > 1 { // another step follows
		st.removed = wire.AppendRemoved(st.removed, st.bytes(), &st.scan, st.edit)
	}
	if ok {
		st.dropped = appendUntranslated(st.dropped, to, st.bytes(), backend)
	}
	return out
}

// rewriteSlack is how much longer a body may get by a rewrite without growing
// its buffer: a model's name and max_completion_tokens for max_tokens.
const rewriteSlack = 256

// appendRouted appends the headers response of a routed request: the decision
// as dynamic metadata, and the headers that follow from the rewritten body.
func (st *stream) appendRouted(dst []byte, length int) []byte {
	d := &st.decision
	dst, headers := open(dst, outRequestHeaders)
	dst, common := open(dst, partResponse)
	dst, mutation := open(dst, commonHeaders)
	dst = appendContentLength(dst, length)
	if st.facts.repath {
		dst = appendSetHeader(dst, ":path", requestPath)
	}
	if st.facts.relabel {
		dst = appendSetHeader(dst, "content-type", "application/json")
	}
	for _, name := range st.facts.remove {
		dst = appendBytes(dst, mutationRemove, name)
	}
	if st.facts.coding != codingIdentity {
		dst = appendBytes(dst, mutationRemove, "content-encoding")
	}
	dst = shut(dst, mutation)
	dst = appendVarint(dst, commonClearRoute, 1)
	dst = shut(shut(dst, common), headers)

	dst, metadata := open(dst, outDynamicMetadata)
	dst, field := openField(dst, envoy.NamespaceDecision)
	dst, value := open(dst, entryValue)
	dst, fields := open(dst, valueStruct)
	dst = appendStringField(dst, envoy.KeyDecision, st.id)
	dst = appendStringField(dst, envoy.KeyDeployment, d.Deployment.Name)
	if len(st.dropped) > 0 {
		dst = appendStringField(dst, envoy.KeyDropped, st.dropped)
	}
	dst = appendStringField(dst, envoy.KeyMode, d.Mode.String())
	dst = appendStringField(dst, envoy.KeyPolicy, d.Snapshot.Hash)
	dst = st.eachLimit(dst, appendStringField[[]byte])
	if d.Deployment.Budget.USDPerDay > 0 {
		dst = appendStringField(dst, envoy.KeyBudget, st.appendBudget(st.limitText[:0]))
	}
	if st.wantsTrace() {
		dst = appendStringField(dst, envoy.KeyTrace, st.trace())
	}
	dst = shut(shut(shut(dst, fields), value), field)
	dst, field = openField(dst, envoy.NamespaceRoute)
	dst, value = open(dst, entryValue)
	dst, fields = open(dst, valueStruct)
	if st.byAttempt {
		dst = st.prepared.appendAttempts(dst, d.API, d.Chain)
	} else {
		dst = st.prepared.appendChain(dst, d.API, d.Chain, st.settled)
	}
	dst = shut(shut(shut(dst, fields), value), field)
	if len(st.removed) > 0 {
		dst, field = openField(dst, envoy.NamespaceRemoved)
		dst, value = open(dst, entryValue)
		dst, fields = open(dst, valueStruct)
		dst = appendStringField(dst, envoy.KeyRemoved, st.removed)
		dst = shut(shut(shut(dst, fields), value), field)
	}
	return shut(dst, metadata)
}

func appendContentLength(dst []byte, n int) []byte {
	var digits [20]byte
	return appendSetHeader(dst, "content-length", strconv.AppendInt(digits[:0], int64(n), 10))
}

// sendImmediate ends the request with p, in the shape of st's client. known: it
// may read what else is known of st, and says it.
func (s *Server) sendImmediate(ss grpc.ServerStream, p *wire.Problem, st *stream, known bool) error {
	body := wire.AppendErrorAs(nil, wire.Shape(st.shape.Load()), p)
	message := appendImmediate(nil, p.Status, envoy.CodeDetails+"_"+p.Code, body, func(dst []byte) []byte {
		dst = appendSetHeader(dst, "content-type", "application/json")
		switch p.Status {
		case http.StatusMethodNotAllowed:
			dst = appendSetHeader(dst, "allow", http.MethodPost)
		case http.StatusServiceUnavailable:
			dst = appendSetHeader(dst, "retry-after", "1")
		case http.StatusTooManyRequests:
			if known {
				dst = st.appendRetryAfter(dst)
			}
		}
		if known {
			dst = st.appendKnown(dst)
		}
		return dst
	})
	return ss.SendMsg(&outbound{data: mem.BufferSlice{mem.SliceBuffer(message)}})
}

// appendKnown appends the response headers that say what is known of a refused
// request.
func (st *stream) appendKnown(dst []byte) []byte {
	if st.fallback {
		return dst // The decision and its policy are the first attempt's to say.
	}
	if len(st.id) > 0 {
		dst = appendSetHeader(dst, envoy.HeaderDecision, st.id)
	}
	if st.prepared != nil {
		dst = appendSetHeader(dst, envoy.HeaderPolicy, st.prepared.snapshot.Hash)
	}
	if d := st.decision.Deployment; d != nil {
		dst = appendSetHeader(dst, envoy.HeaderDeployment, d.Name)
		dst = appendSetHeader(dst, envoy.HeaderMode, st.decision.Mode.String())
		if d.Budget.USDPerDay > 0 {
			dst = appendSetHeader(dst, envoy.HeaderBudget, st.appendBudget(st.limitText[:0]))
		}
	}
	if st.wantsTrace() {
		dst = appendSetHeader(dst, envoy.HeaderTrace, st.trace())
	}
	return st.eachLimit(dst, appendSetHeader[[]byte])
}
