package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"sallyport/api"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/keys"
)

// unsealer gathers the shares of a serve that starts sealed. The nil one gathers none.
type unsealer struct {
	*keys.Assembly
	once  sync.Once
	done  chan struct{} // closed when no share is missing
	heard bool          // of the one who waits
}

// newUnsealer is nil where the keys are not opened by shares.
func newUnsealer(o *Options) (*unsealer, error) {
	if o.Config.Keys.Provider != keys.QuorumProvider || !o.Config.Protects() || o.Observe != nil {
		return nil, nil
	}
	assembly, err := assemblyOf(o.Data)
	if err != nil {
		return nil, err
	}
	u := &unsealer{Assembly: assembly, done: make(chan struct{})}
	if o.Shares != nil && o.Shares.Opens(assembly.Quorum()) {
		u.Assembly = o.Shares
		u.once.Do(func() { close(u.done) })
	}
	return u, nil
}

// assemblyOf begins to gather the shares of a folder's ring; nil where there is no ring.
func assemblyOf(data string) (*keys.Assembly, error) {
	status, err := keys.Look(data)
	switch {
	case errors.Is(err, keys.ErrNone):
		return nil, fmt.Errorf("open keys: %w in %s; bring back the %s that 'sallyport keys init --quorum' made there, or make one", err, data, keys.RingName)
	case err != nil:
		return nil, err
	case status.Quorum == nil:
		return nil, fmt.Errorf("open keys: those in %s are wrapped by %s, and the configuration says keys.provider: %s", data, status.Provider, keys.QuorumProvider)
	}
	return keys.NewAssembly(*status.Quorum), nil
}

// Add takes a share, and wakes whoever waits for the last one.
func (u *unsealer) Add(by, share string) (string, error) {
	name, err := u.Assembly.Add(by, share)
	if err == nil && u.Missing() == 0 {
		u.once.Do(func() { close(u.done) })
	}
	return name, err
}

func (u *unsealer) assembly() *keys.Assembly {
	if u == nil {
		return nil
	}
	return u.Assembly
}

// complete is closed when no share is missing any more, and never where none is needed. One goroutine may wait for it, and hears of it once.
func (u *unsealer) complete() <-chan struct{} {
	if u == nil || u.heard {
		return nil
	}
	u.heard = u.Missing() == 0
	return u.done
}

// sealed is what clients are told until the keys are open.
func (u *unsealer) sealed() error {
	return &gateway.Told{
		Sentence: fmt.Sprintf("the keys are sealed: %d of %d shares are in", u.Need()-u.Missing(), u.Need()),
		Hint:     fmt.Sprintf("Missing: %d, each brought by another person: sallyport keys unseal --as ID", u.Missing()),
	}
}

// unsealer is what the control socket gives shares to.
func (s *Server) unsealer() api.Unsealer {
	switch {
	case s.shares == nil:
		return nil // an interface that holds nothing, not a nil pointer
	case s.O.Role == Controller:
		return &passing{s: s}
	}
	return s.shares
}

// OpenOffline gathers the shares of files for a command that works while no serve does. Nobody is logged in then, so that each file
// stands for a person; what is called in hears of each share's name before the keys are opened.
func OpenOffline(c *config.Config, data string, files []string, hear func(share string) error) (*keys.Assembly, error) {
	if c.Keys.Provider != keys.QuorumProvider {
		if len(files) > 0 {
			return nil, config.Usagef("the keys are not opened by shares; expected no --share-file")
		}
		return nil, nil
	}
	assembly, err := assemblyOf(data)
	if err != nil {
		return nil, err
	}
	for i, file := range files {
		share, err := config.ReadSecretFile(file)
		if err != nil {
			return nil, err
		}
		name, err := assembly.Add(fmt.Sprintf("whoever has file %d", i+1), share)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if err := hear(name); err != nil {
			return nil, err
		}
	}
	if missing := assembly.Missing(); missing > 0 {
		return nil, config.Usagef("%d of %d shares are missing; expected a --share-file FILE for each", missing, assembly.Need())
	}
	return assembly, nil
}

// WriteShares puts each share into a file of its own, which its owner alone may read, and none over another.
func WriteShares(folder, data string, shares []keys.Share) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("write shares: %w", err)
	}
	inside, err := liesWithin(data, folder)
	if err != nil {
		return fmt.Errorf("write shares: %w", err)
	}
	if inside {
		return fmt.Errorf("write shares: %s lies inside the data folder: whoever copies that, or its backup, would have the keys and what they protect", folder)
	}
	for _, share := range shares {
		name := filepath.Join(folder, share.Name+".share")
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("write shares: %s is there already; expected another folder", name)
		}
		if err != nil {
			return fmt.Errorf("write shares: %w", err)
		}
		_, err = fmt.Fprintln(file, share.Text())
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("write shares: %w", err)
		}
	}
	return nil
}

// liesWithin tells whether a folder lies inside of another, by whatever ways they are named.
func liesWithin(outer, folder string) (bool, error) {
	for _, path := range []*string{&outer, &folder} {
		var err error
		if *path, err = filepath.EvalSymlinks(*path); err != nil {
			return false, err
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return false, err
		}
	}
	relative, err := filepath.Rel(outer, folder)
	return err == nil && filepath.IsLocal(relative), nil
}
