package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

var (
	errTooLong     = errors.New("response line too long")
	errNoLength    = errors.New("response has neither content-length nor chunked encoding")
	errStatusLine  = errors.New("malformed status line")
	errChunkHeader = errors.New("malformed chunk header")
)

// readResponse consumes one HTTP/1.1 response and reports its status and the
// bytes of its body. It keeps nothing and does not allocate. Responses without
// a length end with their connection, which a closed loop has no use for: they
// are an error.
func readResponse(r *bufio.Reader) (status int, body int64, err error) {
	line, err := readLine(r)
	if err != nil {
		return 0, 0, fmt.Errorf("read status line: %w", err)
	}
	// HTTP/1.1 200 OK
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, errStatusLine
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, 0, errStatusLine
	}
	length, chunked := int64(-1), false
	for {
		line, err = readLine(r)
		if err != nil {
			return status, 0, fmt.Errorf("read headers: %w", err)
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return status, 0, fmt.Errorf("content-length: %w", err)
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	switch {
	case chunked:
		body, err = discardChunks(r)
	case length >= 0:
		body, err = discard(r, length)
	default:
		err = errNoLength
	}
	return status, body, err
}

func discardChunks(r *bufio.Reader) (int64, error) {
	total := int64(0)
	for {
		line, err := readLine(r)
		if err != nil {
			return total, fmt.Errorf("read chunk header: %w", err)
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(size), 16, 64)
		if err != nil || n < 0 {
			return total, errChunkHeader
		}
		if n == 0 {
			break
		}
		got, err := discard(r, n)
		total += got
		if err != nil {
			return total, err
		}
		if _, err := discard(r, 2); err != nil {
			return total, err
		}
	}
	for { // trailers
		line, err := readLine(r)
		if err != nil {
			return total, fmt.Errorf("read trailers: %w", err)
		}
		if len(line) == 0 {
			return total, nil
		}
	}
}

func discard(r *bufio.Reader, n int64) (int64, error) {
	total := int64(0)
	for total < n {
		step := int(min(n-total, 1<<30))
		got, err := r.Discard(step)
		total += int64(got)
		if err != nil {
			return total, fmt.Errorf("read body: %w", noEOF(err))
		}
	}
	return total, nil
}

// readLine returns one line without its end; it is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errTooLong
	}
	if err != nil {
		return nil, noEOF(err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
