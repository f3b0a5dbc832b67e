package usage_test

import (
	"context"
	"net"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"wye/router"
	"wye/usage"
)

func serve(t *testing.T, s *usage.Service) servicev3.AccessLogServiceClient {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	s.Register(server)
	go func() { _ = server.Serve(lis) }() // ends with Stop
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return servicev3.NewAccessLogServiceClient(conn)
}

func message(log string, entries ...*accesslogv3.HTTPAccessLogEntry) *servicev3.StreamAccessLogsMessage {
	m := &servicev3.StreamAccessLogsMessage{LogEntries: &servicev3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &servicev3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}}
	if log != "" {
		m.Identifier = &servicev3.StreamAccessLogsMessage_Identifier{LogName: log}
	}
	return m
}

func TestService(t *testing.T) {
	t.Parallel()
	sink, got, _ := newSink(t, usage.Config{})
	sink.Policy(snapshot(t, "p1", router.Usage{}))
	service := usage.NewService(sink)
	client := serve(t, service)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := client.StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range []*servicev3.StreamAccessLogsMessage{
		message("wye", entry("a", "p1", "c", object)), message("", entry("b", "p1", "c", object), entry("c", "p1", "c", object)), message(""),
	} {
		if err := stream.Send(m); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	if len(got.all) != 3 {
		t.Errorf("%d records", len(got.all))
	}
	for name, m := range map[string]*servicev3.StreamAccessLogsMessage{"another log": message("other"), "no name": message("")} {
		bad, err := client.StreamAccessLogs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = bad.Send(m) // whether it fails depends on who is first
		if _, err := bad.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Stop ends a stream that would go on, and refuses later ones.
	open, err := client.StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Send(message("wye", entry("d", "p1", "c", object))); err != nil {
		t.Fatal(err)
	}
	for sink.Counts().Entries < 4 {
		time.Sleep(time.Millisecond)
	}
	service.Stop()
	service.Stop()
	if err := open.RecvMsg(new(servicev3.StreamAccessLogsResponse)); status.Code(err) != codes.Unavailable {
		t.Errorf("the open stream ended with %v", err)
	}
	late, err := client.StreamAccessLogs(ctx)
	if err == nil {
		_, err = late.CloseAndRecv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a late stream: %v", err)
	}
}
