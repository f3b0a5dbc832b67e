package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"wye/policies"
	"wye/policies/policyv1"
)

// LastGood keeps the last policy that came into force in a file, for a start
// without the control plane. A file that is not whole is never used.
type LastGood struct {
	dir  string
	zone string
}

// NewLastGood keeps the policy in dir, which is made if it is not there. zone is
// the data zone that the policy is cut for; the file of another zone is not used.
func NewLastGood(dir, zone string) (*LastGood, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return &LastGood{dir: dir, zone: zone}, nil
}

// fileName is that of the file within its directory.
const fileName = "last-good.policy"

// maxFile bounds the file: no policy that passes the schema is as large.
const maxFile = 64 << 20

// fileHeader is the file's first line, in JSON; the policy follows.
type fileHeader struct {
	Format int    `json:"wye_policy_format"`
	Zone   string `json:"zone"`
	Hash   string `json:"policy"`
	SHA256 string `json:"sha256"` // of what follows
}

const fileFormat = 1

// Path is where the policy is kept.
func (l *LastGood) Path() string { return filepath.Join(l.dir, fileName) }

// Load returns the policy in the file, nil if there is none. An error means that
// there is something that cannot be used, and why.
func (l *LastGood) Load() (*policyv1.Policy, error) {
	f, err := os.Open(l.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	document, err := l.decode(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Path(), err)
	}
	return document, nil
}

func (l *LastGood) decode(content []byte) (*policyv1.Policy, error) {
	if len(content) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	line, body, ok := bytes.Cut(content, []byte("\n"))
	var header fileHeader
	if !ok || json.Unmarshal(line, &header) != nil || header.Format == 0 {
		return nil, errors.New("it is no policy that was kept")
	}
	if header.Format != fileFormat {
		return nil, fmt.Errorf("it has format %d, this program reads %d", header.Format, fileFormat)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != header.SHA256 {
		return nil, errors.New("its checksum is wrong: it is damaged, or was not written to its end")
	}
	if header.Zone != l.zone {
		return nil, fmt.Errorf("it is of data zone %q, this is one of %q", header.Zone, l.zone)
	}
	document := &policyv1.Policy{}
	if err := proto.Unmarshal(body, document); err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	if got := policies.DocumentHash(document); got != header.Hash {
		return nil, fmt.Errorf("it says that it is policy %s and is %s: another version of wye wrote it", header.Hash, got)
	}
	return document, nil
}

// Save replaces the file, or leaves it as it is: a crash, a full disk or a second
// writer leave one policy or the other.
func (l *LastGood) Save(document *policyv1.Policy) (err error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(document)
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	sum := sha256.Sum256(body)
	line, err := json.Marshal(fileHeader{
		Format: fileFormat, Zone: l.zone, Hash: policies.DocumentHash(document), SHA256: hex.EncodeToString(sum[:]),
	})
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	f, err := os.CreateTemp(l.dir, fileName+".*")
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	_, err = f.Write(append(append(line, '\n'), body...))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), l.Path())
	}
	if err != nil {
		return fmt.Errorf("keep the policy: %w", errors.Join(err, os.Remove(f.Name())))
	}
	// The rename itself, which is not lost by a crash of this process, but by one
	// of the machine.
	return syncDir(l.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	return nil
}
