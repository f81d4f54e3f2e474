package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport"
	"sallyport/control"
	"sallyport/keys"
	"sallyport/lease"
)

// filesParcel stands before the hash in the name of a parcel with approved files.
const filesParcel = "files:"

// handed is the file in a gateway's data folder that says what its controller sent: name → SHA-256.
const handed = "handed"

// parcels are what gateways have to have as it is here: the files that this controller runs by and those that were approved since, and the
// ring of keys with its trees, which is sealed for whoever opens it. What opens it is never handed over.
func (s *Server) parcels() (list []lease.Parcel, err error) {
	if list, err = s.ringParcels(); err != nil {
		return nil, err
	}
	approved, _ := s.State.Files()
	for _, hash := range slices.Compact([]string{s.held, approved}) {
		p, err := s.filesParcel(hash)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// ringParcels are the ring of keys and its trees.
func (s *Server) ringParcels() (list []lease.Parcel, err error) {
	for _, name := range []string{keys.TreeName, keys.RingName} { // the ring speaks of its trees
		path := filepath.Join(s.O.Data, name)
		switch _, err := os.Stat(path); {
		case err == nil:
			list = append(list, lease.Parcel{Name: name, Path: path})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("hand over %s: %w", path, err)
		}
	}
	return list, nil
}

func (s *Server) filesParcel(hash string) (lease.Parcel, error) {
	b, err := keptBundle(s.O.Data, hash)
	if err != nil {
		return lease.Parcel{}, err
	}
	return lease.Parcel{Name: filesParcel + hash, Content: b.encode()}, nil
}

// beforeOrder are the files that an order makes hold: gateways have them before it.
func (s *Server) beforeOrder(e *sallyport.Event) ([]lease.Parcel, error) {
	if e.Kind == sallyport.KeysSeen {
		return s.ringParcels()
	}
	if e.Order == nil || e.Kind != sallyport.Approved {
		return nil, nil
	}
	for _, p := range s.State.Proposals() {
		if p.ID != e.Order.ID || p.Action != control.Files {
			continue
		}
		parcel, err := s.filesParcel(p.Details)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // of long ago: its copy was removed, and others hold since
		}
		return []lease.Parcel{parcel}, err
	}
	return nil, nil
}

// incoming is a parcel that is on its way to this gateway.
type incoming struct {
	name string
	file *os.File
	sum  hash.Hash
	size int64
}

// What may come: a tree of which a million keys were destroyed has about a gigabyte.
const (
	mostHanded = 1 << 30
	mostFiles  = 16 << 20
)

// put takes a part of what the controller hands over.
func (s *Server) put(name string, part []byte, last bool, digest string) error {
	l := s.link
	if l.incoming == nil || l.incoming.name != name {
		if err := l.begin(s.O.Data, name); err != nil {
			return err
		}
	}
	in := l.incoming
	in.size += int64(len(part))
	if in.size > mostHanded || strings.HasPrefix(name, filesParcel) && in.size > mostFiles {
		return fmt.Errorf("take %s: it is longer than that can be", name)
	}
	in.sum.Write(part)
	if _, err := in.file.Write(part); err != nil {
		return fmt.Errorf("take %s: %w", name, err)
	}
	if !last {
		return nil
	}
	l.incoming = nil
	err := in.file.Sync()
	if got := hex.EncodeToString(in.sum.Sum(nil)); err == nil && got != digest {
		err = errors.New("it is not what the controller says that it is")
	}
	if err == nil {
		err = s.received(name, in.file.Name(), digest)
	}
	if rest := os.Remove(in.file.Name()); !errors.Is(rest, fs.ErrNotExist) { // unless it stands in its place now
		err = errors.Join(err, rest)
	}
	if err := errors.Join(err, in.file.Close()); err != nil {
		return fmt.Errorf("take %s: %w", name, err)
	}
	return nil
}

// begin makes room for a parcel; one that broke off is left.
func (l *link) begin(data, name string) error {
	if l.incoming != nil {
		_ = l.incoming.file.Close() // it is written anew
		l.incoming = nil
	}
	if name != keys.RingName && name != keys.TreeName && !strings.HasPrefix(name, filesParcel) {
		return fmt.Errorf("the controller hands over %q, which a gateway does not take", Printable(name))
	}
	f, err := os.OpenFile(filepath.Join(data, "handed.tmp"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("take what the controller hands over: %w", err)
	}
	l.incoming = &incoming{name: name, file: f, sum: sha256.New()}
	return nil
}

// received puts a parcel where it belongs. Keys that a running gateway has opened are others then, so that it begins anew.
func (s *Server) received(name, path, digest string) error {
	if wanted, ok := strings.CutPrefix(name, filesParcel); ok {
		if wanted != digest {
			return errors.New("it is not what two people approved")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := decodeBundle(text)
		if err != nil {
			return err
		}
		_, err = b.keep(s.O.Data)
		return err
	}
	at := filepath.Join(s.O.Data, name)
	before, err := digestOf(at)
	if err != nil {
		return err
	}
	if before != digest {
		if err := errors.Join(os.Rename(path, at), syncFolder(s.O.Data)); err != nil {
			return err
		}
	}
	all := s.holdsOf()
	all[name] = digest
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := exchangeFile(filepath.Join(s.O.Data, handed), text); err != nil {
		return err
	}
	if before != "" && before != digest {
		s.log.Info("the controller handed over keys", "file", name)
		s.afresh("the controller's keys are others than those that this gateway opened")
	}
	return nil
}

// digestOf is the SHA-256 of a file in hexadecimal digits; empty: there is none.
func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// exchangeFile exchanges a file, whole or not at all.
func exchangeFile(path string, content []byte) error {
	if err := os.RemoveAll(path + ".tmp"); err != nil {
		return err
	}
	if err := writeSynced(path+".tmp", string(content)); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".tmp", path), syncFolder(filepath.Dir(path)))
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// holds tells the controller what this gateway has of it.
func (s *Server) holds() map[string]string {
	all := s.holdsOf()
	kept, _ := filepath.Glob(filepath.Join(s.O.Data, approvedFolder, "*")) // the pattern is fine
	for _, folder := range kept {
		hash := filepath.Base(folder)
		if b, err := keptBundle(s.O.Data, hash); err == nil && b.hash() == hash {
			all[filesParcel+hash] = hash
		}
	}
	return all
}

// holdsOf are the keys that the controller sent, as far as they are still there. The gateway may have changed them since: it destroys keys
// of single tokens itself.
func (s *Server) holdsOf() map[string]string {
	all := map[string]string{}
	text, err := os.ReadFile(filepath.Join(s.O.Data, handed))
	if err != nil || json.Unmarshal(text, &all) != nil {
		return map[string]string{}
	}
	for name := range all {
		if _, err := os.Stat(filepath.Join(s.O.Data, name)); err != nil {
			delete(all, name)
		}
	}
	return all
}

// adoptHanded has this gateway run by the files of its controller, which two people approved or which were the first.
func (s *Server) adoptHanded() error {
	held := s.link.Runs()
	if held == "" {
		return errors.New("the controller runs by no configuration")
	}
	if !s.State.EverHeld(held) {
		return fmt.Errorf("the controller runs by files (%.12s…) that nobody approved by the orders on record", held)
	}
	b, err := keptBundle(s.O.Data, held)
	if err != nil {
		return err
	}
	file, own := s.O.Config.File, s.O.Config.Text
	c, err := b.parse(file)
	if err != nil {
		return fmt.Errorf("the controller's configuration cannot be read by this version; run the same release on all machines: %w", err)
	}
	if own != b.Config {
		s.log.Info("running by the controller's configuration; the file here only told where that is", "file", file, "approved", filepath.Join(s.O.Data, approvedFolder, held))
	}
	s.O.Config, s.held = c, held
	s.link.by.Store(&c.Hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.anew = nil // nothing is open yet that is others now
	s.link.shut.Store(false)
	return nil
}

// BeginAnew says that a serve has to begin anew, by other files or keys.
type BeginAnew struct {
	Why    string
	Shares *keys.Assembly // that people have brought this process; nil: none
}

// Error says why.
func (e *BeginAnew) Error() string { return "begin anew: " + e.Why }

// afresh has this gateway end, so that it is begun anew.
func (s *Server) afresh(why string) {
	s.link.shut.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.anew = &BeginAnew{why, s.shares.assembly()}
	if s.link.end != nil {
		s.link.end(s.link.anew)
	}
}

// endsBy lets afresh end a run. What was called for before is done at once.
func (s *Server) endsBy(end func(error)) {
	if s.link == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.end = end
	if s.link.anew != nil {
		end(s.link.anew)
	}
}
