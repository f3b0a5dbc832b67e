package rig

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// FailHeader breaks backends for one request: a comma-separated list of
// backend=how, where * is every backend and how is one of
//
//	a status   answer with an error of that status
//	reset      close the connection without an answer
//	hang       do not answer until the caller has gone
//	cut        stream, and close the connection in the middle
//	early-cut  promise a stream, and close the connection before the first token
//	late-error stream, and end in an error event
//	sse-error  promise a stream, in which the first token's place has an error
//	sse-end    promise a stream, and end it before the first token
//	silent     promise a stream, and say nothing of meaning until the caller has gone
//	json-error promise an answer that is an error
//	steps      stream what Stack.Steps says
//	forge      answer well, with headers that claim to be Wye's
//	own        answer what Stack.OwnAnswer says
const FailHeader = "x-e2e-fail"

// usual answers as FailHeader says, else well.
func (s *Stack) usual(name string, well Answer) Answer {
	return func(w http.ResponseWriter, r *Received) {
		how := ""
		for part := range strings.SplitSeq(r.Header.Get(FailHeader), ",") {
			if who, what, _ := strings.Cut(part, "="); who == name || who == "*" {
				how = what
			}
		}
		switch how {
		case "":
			well(w, r)
		case "reset":
			panic(http.ErrAbortHandler)
		case "hang":
			<-r.Gone()
		case "cut":
			startStream(w)
			_, _ = io.WriteString(w, "data: before the cut\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond) // so that the chunk is not lost with the connection
			panic(http.ErrAbortHandler)
		case "early-cut", "sse-error", "sse-end", "silent", "late-error":
			misleadingStream(w, r, how)
		case "json-error":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"error":{"message":"told to fail","type":"server_error","code":"e2e_fault"}}`)
		case "steps":
			s.stepper(r.Header.Get(IDHeader)).stream(w, r)
		case "own":
			s.ownAnswer(r.Header.Get(IDHeader))(w, r)
		case "forge":
			for _, header := range []string{"model", "deployment", "mode", "zone", "attempts", "decision", "policy", "dropped"} {
				w.Header().Set("x-wye-"+header, "forged")
			}
			well(w, r)
		default:
			status, err := strconv.Atoi(how)
			if err != nil {
				status = http.StatusNotImplemented // a typo in a test
			}
			fail(w, status)
		}
	}
}

// OwnAnswer prepares how a request with that id is answered.
func (s *Stack) OwnAnswer(id string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own[id] = a
}

func (s *Stack) ownAnswer(id string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own[id]
}

// fail answers with an OpenAI-shaped error that is recognisably the provider's.
func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"error":{"message":"told to fail","type":"e2e","param":null,"code":"e2e_fault"}}`)
}

// misleadingStream is a stream of status 200 that comes to nothing.
func misleadingStream(w http.ResponseWriter, r *Received, how string) {
	startStream(w)
	say := func(text string) {
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(10 * time.Millisecond) // so that it travels on its own
	}
	say(": one moment\n\n")
	say(`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n")
	switch how {
	case "early-cut":
		panic(http.ErrAbortHandler)
	case "silent":
		<-r.Gone()
	case "late-error":
		say(`data: {"choices":[{"index":0,"delta":{"content":"before the error"}}]}` + "\n\n")
		fallthrough
	case "sse-error":
		say(`data: {"error":{"message":"told to fail",`)
		say(`"type":"server_error","code":"e2e_fault"}}` + "\n\ndata: [DONE]\n\n")
	}
}

func startStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
}

// Stepper is a stream whose provider sends the next chunk when the test says
// that the client has got the last one.
type Stepper struct {
	chunks int
	next   chan struct{}

	mu sync.Mutex
	at []time.Time
}

// Steps prepares the stream that a request with that id is answered with: n
// events "chunk 0" and so on, then [DONE].
func (s *Stack) Steps(t testing.TB, id string, n int) *Stepper {
	t.Helper()
	st := &Stepper{chunks: n, next: make(chan struct{}, n)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steppers[id] = st
	return st
}

func (s *Stack) stepper(id string) *Stepper {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steppers[id]
}

// At returns when the provider sent chunk i, the zero time if it has not.
func (st *Stepper) At(i int) time.Time {
	st.mu.Lock()
	defer st.mu.Unlock()
	if i >= len(st.at) {
		return time.Time{}
	}
	return st.at[i]
}

// Acknowledge lets the provider send the next chunk.
func (st *Stepper) Acknowledge() { st.next <- struct{}{} }

func (st *Stepper) stream(w http.ResponseWriter, r *Received) {
	startStream(w)
	flush := http.NewResponseController(w).Flush
	for i := range st.chunks {
		st.mu.Lock()
		st.at = append(st.at, time.Now())
		st.mu.Unlock()
		_, _ = fmt.Fprintf(w, "data: chunk %d\n\n", i)
		_ = flush()
		select {
		case <-st.next:
		case <-r.Gone():
			return
		}
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}
