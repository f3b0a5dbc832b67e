package extproc

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"

	"wye/envoy"
	"wye/wire"
)

// fallbackSlack is how much longer than the limit a body may have become by
// the first rewrite.
const fallbackSlack = 4 << 10

// fallbackEdit reads from the stream's initial metadata, which is part of a
// fallback cluster's configuration, what its model expects. ok is false on the
// listener's streams, which have none.
func fallbackEdit(ctx context.Context) (e wire.Edit, ok bool) {
	sendAs := metadata.ValueFromIncomingContext(ctx, envoy.MetadataSendAs)
	if len(sendAs) == 0 {
		return wire.Edit{}, false
	}
	e.Model = sendAs[0]
	for _, v := range metadata.ValueFromIncomingContext(ctx, envoy.MetadataDrop) {
		for name := range strings.SplitSeq(v, ",") {
			if name != "" {
				e.Drop = append(e.Drop, name)
			}
		}
	}
	if v := metadata.ValueFromIncomingContext(ctx, envoy.MetadataMaxTokensField); len(v) > 0 {
		e.MaxTokensField = v[0]
	}
	for _, v := range metadata.ValueFromIncomingContext(ctx, envoy.MetadataEffort) {
		for pair := range strings.SplitSeq(v, ",") {
			if from, to, ok := strings.Cut(pair, "="); ok {
				e.ReasoningEffort = append(e.ReasoningEffort, [2]string{from, to})
			}
		}
	}
	return e, true
}

// restore undoes what the rewrite for the first model removed from the body, as
// far as the rewrite for this one does not, so that a fallback gets what the
// client wrote. Envoy keeps it meanwhile. What cannot be read is not restored.
func (st *stream) restore() {
	if len(st.removed) == 0 {
		return
	}
	whole := st.server.buffers.Get(len(st.bytes()) + len(st.removed) + 1)
	var members wire.Facts
	var ok bool
	if *whole, ok = wire.AppendRestored((*whole)[:0], st.bytes(), st.removed, &st.scan, &members); !ok {
		st.server.buffers.Put(whole)
		return
	}
	if st.body != nil {
		st.server.buffers.Put(st.body)
	}
	st.body = whole
}

// appendDropped appends, as dynamic metadata of a reply, the names of the fields
// that this attempt's model does not take. It takes back what was said of the
// attempt before; empty means that nothing was dropped.
func appendDropped(dst, names []byte) []byte {
	dst, dynamic := open(dst, outDynamicMetadata)
	dst, field := openField(dst, envoy.NamespaceDecision)
	dst, value := open(dst, entryValue)
	dst, fields := open(dst, valueStruct)
	dst = appendStringField(dst, envoy.KeyDropped, names)
	return shut(shut(shut(shut(dst, fields), value), field), dynamic)
}

// answerFallback rewrites the body of a retry for the cluster that asks. It
// needs no policy and no memory of the first attempt. A body that cannot be
// rewritten is never let through, because it names another model: the request
// ends with an error, which Envoy does not retry.
func (st *stream) answerFallback() error {
	st.restore()
	out := st.server.buffers.Get(len(st.bytes()) + rewriteSlack)
	var p *wire.Problem
	*out, p = wire.AppendRewriteBody((*out)[:0], st.bytes(), &st.scan, st.edit)
	if p != nil {
		st.server.buffers.Put(out)
		return st.refuse(errFallback)
	}
	if f := st.server.config.Observer.Fallback; f != nil {
		f()
	}
	head := st.server.buffers.Get(0)
	dst, headers := open(*head, outRequestHeaders)
	dst, common := open(dst, partResponse)
	dst, mutation := open(dst, commonHeaders)
	dst = appendContentLength(dst, len(*out))
	st.dropped = wire.AppendDropped(st.dropped[:0], &st.scan, st.edit)
	*head = appendDropped(shut(shut(shut(dst, mutation), common), headers), st.dropped)
	return st.send(head, out)
}
