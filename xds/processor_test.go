package xds_test

import (
	"encoding/json"
	"strconv"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
)

// plan is a decision that a test puts into the request's body for the fake
// processor to carry out.
type plan struct {
	Deployment string   `json:"deployment,omitempty"`
	SendAs     string   `json:"send_as,omitempty"`
	Clusters   []string `json:"clusters,omitempty"`
	ByName     bool     `json:"by_name,omitempty"` // all but the first cluster
	Model      string   `json:"model,omitempty"`   // name of the first priority group; default: its cluster
	Refuse     int      `json:"refuse,omitempty"`  // status of an immediate response
	Evil       bool     `json:"evil,omitempty"`    // set headers that it must not
	Path       string   `json:"path,omitempty"`    // set :path
	Padding    string   `json:"padding,omitempty"`
}

func (p plan) body() string {
	b, err := json.Marshal(struct {
		Model string `json:"model"`
		Plan  plan   `json:"plan"`
	}{p.Deployment, p})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// processor is a fake ext_proc server. It does in the open what package extproc
// does: collect the body, answer once.
type processor struct {
	extprocv3.UnimplementedExternalProcessorServer
	health *health.Server
	addr   string

	mu    sync.Mutex
	calls []call
}

// call is one stream as the processor saw it.
type call struct {
	metadata metadata.MD
	headers  map[string]string
	messages int
	body     string
}

func (p *processor) address() string { return p.addr }

func (p *processor) seen() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]call(nil), p.calls...)
}

// Process implements extprocv3.ExternalProcessorServer.
func (p *processor) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	c := call{metadata: md, headers: map[string]string{}}
	var body []byte
	for end := false; !end; {
		m, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client went away
		}
		c.messages++
		switch r := m.GetRequest().(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			for _, h := range r.RequestHeaders.GetHeaders().GetHeaders() {
				c.headers[h.GetKey()] = string(h.GetRawValue())
			}
			end = r.RequestHeaders.GetEndOfStream()
		case *extprocv3.ProcessingRequest_RequestBody:
			body = append(body, r.RequestBody.GetBody()...)
			end = r.RequestBody.GetEndOfStream()
		}
	}
	c.body = string(body)
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	for _, r := range answerTo(md, body) {
		if err := stream.Send(r); err != nil {
			return nil //nolint:nilerr // the client went away
		}
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return nil //nolint:nilerr // the request is over
		}
	}
}

// answerTo decides or, on a fallback's stream, rewrites.
func answerTo(md metadata.MD, body []byte) []*extprocv3.ProcessingResponse {
	var doc struct {
		Plan plan `json:"plan"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return []*extprocv3.ProcessingResponse{immediate(400, "not JSON")}
	}
	if sendAs := md.Get(envoy.MetadataSendAs); len(sendAs) > 0 {
		return replies(&extprocv3.CommonResponse{}, rewritten(body, sendAs[0]), nil)
	}
	p := doc.Plan
	if p.Refuse != 0 {
		return []*extprocv3.ProcessingResponse{immediate(p.Refuse, `{"error":"worded by the processor"}`)}
	}
	common := &extprocv3.CommonResponse{ClearRouteCache: true, HeaderMutation: &extprocv3.HeaderMutation{}}
	if p.Evil {
		set(common, "host", "evil.example")
		set(common, "authorization", "evil")
	}
	if p.Path != "" {
		set(common, ":path", p.Path)
	}
	fields := map[string]any{
		envoy.NamespaceDecision: map[string]any{
			envoy.KeyDeployment: p.Deployment, envoy.KeyMode: "quality", envoy.KeyDecision: "d1", envoy.KeyPolicy: "p1", envoy.KeyDropped: "",
		},
	}
	if p.Clusters != nil {
		var groups []any
		for i, c := range p.Clusters {
			group := map[string]any{"name": c}
			if i == 0 && p.Model != "" {
				group["name"] = p.Model
			}
			if i == 0 || !p.ByName {
				group["clusters"] = []any{map[string]any{"cluster_name": c, "weight": 1}}
			}
			groups = append(groups, group)
		}
		fields[envoy.NamespaceRoute] = map[string]any{"priority_groups": groups}
		if len(md.Get(envoy.MetadataChain)) > 0 {
			byAttempt := map[string]any{envoy.KeyFirstModel: p.Model}
			for i, c := range p.Clusters {
				byAttempt[strconv.Itoa(i+1)] = c
			}
			fields[envoy.NamespaceRoute] = byAttempt
		}
	}
	dynamic, err := structpb.NewStruct(fields)
	if err != nil {
		panic(err)
	}
	return replies(common, rewritten(body, p.SendAs), dynamic)
}

func rewritten(body []byte, model string) []byte {
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		panic(err)
	}
	doc["model"] = model
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return b
}

func set(c *extprocv3.CommonResponse, key, value string) {
	if c.HeaderMutation == nil {
		c.HeaderMutation = &extprocv3.HeaderMutation{}
	}
	c.HeaderMutation.SetHeaders = append(c.HeaderMutation.SetHeaders, &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, RawValue: []byte(value)},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	})
}

// replies are the headers and the body, in chunks that Envoy takes.
func replies(common *extprocv3.CommonResponse, body []byte, dynamic *structpb.Struct) []*extprocv3.ProcessingResponse {
	set(common, "content-length", strconv.Itoa(len(body)))
	all := []*extprocv3.ProcessingResponse{{
		Response:        &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{Response: common}},
		DynamicMetadata: dynamic,
	}}
	for first := true; first || len(body) > 0; first = false {
		chunk := body[:min(len(body), 60<<10)]
		body = body[len(chunk):]
		all = append(all, &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{
			RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{BodyMutation: &extprocv3.BodyMutation{
				Mutation: &extprocv3.BodyMutation_StreamedResponse{StreamedResponse: &extprocv3.StreamedBodyResponse{
					Body: chunk, EndOfStream: len(body) == 0,
				}},
			}}},
		}})
	}
	return all
}

func immediate(status int, body string) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extprocv3.ImmediateResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)},
			Headers: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{
				{Header: &corev3.HeaderValue{Key: "content-type", RawValue: []byte("application/json")}},
				{Header: &corev3.HeaderValue{Key: envoy.HeaderDecision, RawValue: []byte("d1")}},
			}},
			Body:    []byte(body),
			Details: envoy.CodeDetails + "_test",
		},
	}}
}
