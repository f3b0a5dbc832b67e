package extproc_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
	"wye/extproc"
	"wye/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixedScorer gives model i the quality of its index, the last is the best, and
// has a rate at which the cheapest wins in cost mode.
type fixedScorer struct{}

func (fixedScorer) Version() string { return "fixed" }

func (fixedScorer) Score(_ *router.Request, mode router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i, m := range models {
		out[i] = router.Estimate{Quality: 0.5 + float32(m)/10, OutputTokens: 100}
	}
	if mode == router.ModeCost {
		return 1000
	}
	return 0
}

// panicScorer is a bug.
type panicScorer struct{ fixedScorer }

func (panicScorer) Score(*router.Request, router.Mode, []router.ModelIndex, []router.Estimate) float64 {
	panic("scorer bug")
}

const maxBody = 1 << 20

// testSnapshot has a cheap model that takes neither tools nor long prompts and
// a dear one that refuses temperature, and deployments that use them.
func testSnapshot(t testing.TB, hash string) *router.Snapshot {
	t.Helper()
	all := router.ModeSet(0).With(router.ModeQuality).With(router.ModeBalanced).With(router.ModeCost)
	both := []router.ModelIndex{0, 1}
	deployment := func(name string, mode router.Mode, subset []router.ModelIndex) router.Deployment {
		return router.Deployment{
			Name: name, Mode: mode, AllowedModes: all, Subset: subset, MaxAttempts: 3, Scorer: fixedScorer{},
			Bands: router.Bands{Balanced: 0.02, Cost: 0.5},
		}
	}
	auto := deployment("auto", router.ModeQuality, both)
	auto.Aliases = []string{"model-router"}
	auto.MaxBodyBytes = maxBody
	single := deployment("single", router.ModeQuality, both[:1])
	tight := deployment("tight", router.ModeQuality, both)
	tight.MaxBodyBytes = 256
	fixed := deployment("fixed", router.ModeCost, both)
	fixed.AllowedModes = router.ModeSet(0).With(router.ModeCost)
	broken := deployment("broken", router.ModeQuality, both)
	broken.Scorer = panicScorer{}
	s, err := router.NewSnapshot(router.Config{
		Hash: hash,
		Models: []router.Model{
			{Name: "small", ServedAs: "small-v1", Price: router.Price{Input: 1, Output: 1}, ContextWindow: 8192},
			{
				Name: "large", ServedAs: "large-v1", Price: router.Price{Input: 10, Output: 10}, ContextWindow: 1 << 20,
				Capabilities: router.CapTools,
				Parameters:   router.Parameters{Drop: []string{"temperature"}},
			},
		},
		Backends: []router.Backend{
			{Name: "s1", Model: 0, SendAs: "small-v1", Address: "127.0.0.1:1", Zone: "eu"},
			{Name: "l1", Model: 1, SendAs: "large-v1", Address: "127.0.0.1:2", Zone: "eu"},
		},
		Deployments: []router.Deployment{auto, single, tight, fixed, broken},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cluster is the cluster name of a backend of s.
func cluster(s *router.Snapshot, backend string, fallback bool) string {
	for i := range s.Backends {
		if b := &s.Backends[i]; b.Name == backend {
			return envoy.ClusterName(b.Name, b.Hash, fallback)
		}
	}
	return "no backend " + backend
}

// start serves c over an in-memory connection until the test ends. A Config
// without a Router gets one with testSnapshot(t, "p1").
func start(t testing.TB, c extproc.Config) (*extproc.Server, *grpc.ClientConn) {
	t.Helper()
	if c.Router == nil {
		c.Router = new(router.Router)
		c.Router.Swap(testSnapshot(t, "p1"))
	}
	if c.AppendID == nil {
		c.AppendID = func(dst []byte) []byte { return append(dst, "id-1"...) }
	}
	s := extproc.New(c)
	l := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, conn
}

// headers is a request_headers message. pairs are names and values.
func headers(end bool, pairs ...string) *extprocv3.ProcessingRequest {
	m := &corev3.HeaderMap{}
	for i := 0; i < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{
		RequestHeaders: &extprocv3.HttpHeaders{Headers: m, EndOfStream: end},
	}}
}

// chat is the headers message of an ordinary request of n body bytes.
func chat(n int, more ...string) *extprocv3.ProcessingRequest {
	return headers(false, append([]string{
		":method", "POST", ":path", "/v1/chat/completions", "content-type", "application/json", "content-length", strconv.Itoa(n),
	}, more...)...)
}

func body(chunk string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
		RequestBody: &extprocv3.HttpBody{Body: []byte(chunk), EndOfStream: end},
	}}
}

func trailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{
		RequestTrailers: &extprocv3.HttpTrailers{},
	}}
}

// exchange sends the messages and returns everything that is answered until
// the server ends the stream. It half-closes only if the server is to see that.
func exchange(t testing.TB, conn grpc.ClientConnInterface, halfClose bool, messages ...*extprocv3.ProcessingRequest) ([]*extprocv3.ProcessingResponse, error) {
	t.Helper()
	return exchangeCtx(t.Context(), t, conn, halfClose, messages...)
}

func exchangeCtx(ctx context.Context, t testing.TB, conn grpc.ClientConnInterface, halfClose bool, messages ...*extprocv3.ProcessingRequest) ([]*extprocv3.ProcessingResponse, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			if errors.Is(err, io.EOF) {
				break // The server has answered already.
			}
			t.Fatal(err)
		}
	}
	if halfClose {
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
	var got []*extprocv3.ProcessingResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, m)
	}
}

// routed is a request's answer in a form that is easy to compare.
type routed struct {
	Set      map[string]string
	Remove   []string
	Metadata map[string]any
	Clear    bool
	Body     string
	Chunks   []int
	End      bool
}

// readRouted reads the answer to a routed request. It fails the test unless it
// is a headers response and body responses, in this order.
func readRouted(t testing.TB, got []*extprocv3.ProcessingResponse, err error) routed {
	t.Helper()
	if err != nil {
		t.Fatalf("stream ended with %v", err)
	}
	if len(got) < 2 || got[0].GetRequestHeaders() == nil {
		t.Fatalf("got %v, want headers and body responses", got)
	}
	common := got[0].GetRequestHeaders().GetResponse()
	r := routed{Set: map[string]string{}, Clear: common.GetClearRouteCache(), Remove: common.GetHeaderMutation().GetRemoveHeaders()}
	for _, h := range common.GetHeaderMutation().GetSetHeaders() {
		if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("header %s has append_action %v", h.GetHeader().GetKey(), h.GetAppendAction())
		}
		r.Set[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
	}
	if m := got[0].GetDynamicMetadata(); m != nil {
		r.Metadata = m.AsMap()
	}
	var text strings.Builder
	for i, m := range got[1:] {
		chunk := m.GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse()
		if chunk == nil || r.End {
			t.Fatalf("message %d is %v", i+1, m)
		}
		text.Write(chunk.GetBody())
		r.Chunks = append(r.Chunks, len(chunk.GetBody()))
		r.End = chunk.GetEndOfStream()
	}
	r.Body = text.String()
	return r
}

// refusal is an immediate response in a form that is easy to compare.
type refusal struct {
	Status  int
	Details string
	Headers map[string]string
	Body    string
}

func readRefusal(t testing.TB, got []*extprocv3.ProcessingResponse, err error) refusal {
	t.Helper()
	if err != nil {
		t.Fatalf("stream ended with %v", err)
	}
	if len(got) != 1 || got[0].GetImmediateResponse() == nil {
		t.Fatalf("got %v, want one immediate response", got)
	}
	i := got[0].GetImmediateResponse()
	r := refusal{
		Status: int(i.GetStatus().GetCode()), Details: i.GetDetails(), Headers: map[string]string{}, Body: string(i.GetBody()),
	}
	for _, h := range i.GetHeaders().GetSetHeaders() {
		r.Headers[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
	}
	return r
}

// groups is the value of priority_groups for the clusters, of which the first is
// named by its model, large-v1 of backend l1, small-v1 of s1 and small of others;
// the one that ends every chain follows.
func groups(clusters ...string) map[string]any { return priorityGroups(false, clusters) }

// groupsByName is the one that leaves it to the route what all groups but the
// first consist of.
func groupsByName(clusters ...string) map[string]any { return priorityGroups(true, clusters) }

func priorityGroups(byName bool, clusters []string) map[string]any {
	var list []any
	for i, c := range append(clusters, envoy.ExhaustedCluster) {
		group := map[string]any{"name": c}
		if i == 0 {
			backend := strings.Split(c, "/")[2]
			group["name"] = cmp.Or(map[string]string{"l1": "large-v1", "s1": "small-v1"}[backend], "small")
		}
		if i == 0 || !byName {
			group["clusters"] = []any{map[string]any{"cluster_name": c, "weight": 1.0}}
		}
		list = append(list, group)
	}
	s, err := structpb.NewStruct(map[string]any{"priority_groups": list})
	if err != nil {
		panic(err)
	}
	return s.AsMap()
}

// asFallback is a context with the initial metadata of a fallback cluster.
func asFallback(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}
