package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/policy"
	"sallyport/rulebook"
)

// bundle is what two people approve together: the text of the configuration and the policies that it names.
type bundle struct {
	Config   string
	policies []policy.Text // by their names without a folder; nil: the program's own hold
}

// BundleOf reads what belongs to a configuration. The policies are read once: what is approved is what holds.
func BundleOf(c *config.Config) (*bundle, error) {
	b := &bundle{Config: c.Text}
	if c.Policies == "" {
		return b, nil
	}
	texts, err := rulebook.TextsIn(c.PolicyFolder(), "*.cedar", "policies")
	if err != nil {
		return nil, err
	}
	for _, t := range texts {
		b.policies = append(b.policies, policy.Text{Name: filepath.Base(t.Name), Content: t.Content})
	}
	return b, nil
}

// hash is what stands for a bundle in the record.
func (b *bundle) hash() string {
	sum := sha256.Sum256(b.encode())
	return hex.EncodeToString(sum[:])
}

// bundleForm is the version of how a bundle is encoded.
const bundleForm = "sallyport files 1"

// encode is a bundle as one text.
func (b *bundle) encode() []byte {
	text, err := json.Marshal(map[string]any{"form": bundleForm, "config": b.Config, "policies": b.policies})
	if err != nil {
		panic("strings are JSON") // they are
	}
	return text
}

// decodeBundle reads what encode makes. Names of policies are those of files without a folder.
func decodeBundle(text []byte) (*bundle, error) {
	var is struct {
		Form     string        `json:"form"`
		Config   string        `json:"config"`
		Policies []policy.Text `json:"policies"`
	}
	if err := json.Unmarshal(text, &is); err != nil || is.Form != bundleForm {
		return nil, errors.New("read approved files: they are of another form; run the same release on all machines")
	}
	for _, p := range is.Policies {
		if !policyName(p.Name) {
			return nil, fmt.Errorf("read approved files: %q is no name of a file of policies", Printable(p.Name))
		}
	}
	return &bundle{Config: is.Config, policies: is.Policies}, nil
}

// policyName tells whether a file of policies can be called so.
func policyName(name string) bool {
	return filepath.Base(name) == name && strings.HasSuffix(name, ".cedar") && !strings.HasPrefix(name, ".")
}

// texts are the policies as problems name them, in the folder that the configuration names.
func (b *bundle) texts(c *config.Config) []policy.Text {
	var out []policy.Text
	for _, t := range b.policies {
		out = append(out, policy.Text{Name: filepath.Join(c.PolicyFolder(), t.Name), Content: t.Content})
	}
	return out
}

// parse reads the configuration of a bundle as if it stood in a file, and gives it the bundle's policies.
func (b *bundle) parse(path string) (*config.Config, error) {
	c, err := config.Parse(path, []byte(b.Config))
	if err != nil {
		return nil, err
	}
	if c.Policies != "" {
		c.Kept = b.texts(c)
	}
	return c, nil
}

// approvedFolder holds the copies of what was proposed and approved, by hash.
const approvedFolder = "approved"

// keep puts a copy of a bundle into the data folder, whole or not at all.
func (b *bundle) keep(data string) (folder string, err error) {
	folder = filepath.Join(data, approvedFolder, b.hash())
	if kept, err := keptBundle(data, b.hash()); err == nil && kept.hash() == b.hash() {
		return folder, nil
	}
	draft, err := os.MkdirTemp(data, "approved.tmp")
	if err != nil {
		return "", fmt.Errorf("keep a copy of the configuration: %w", err)
	}
	defer os.RemoveAll(draft)
	if err := b.write(draft); err != nil {
		return "", fmt.Errorf("keep a copy of the configuration: %w", err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(folder), 0o700), os.RemoveAll(folder)); err != nil {
		return "", fmt.Errorf("keep a copy of the configuration: %w", err)
	}
	if err := os.Rename(draft, folder); err != nil {
		return "", fmt.Errorf("keep a copy of the configuration: %w", err)
	}
	return folder, nil
}

func (b *bundle) write(folder string) error {
	if err := os.Mkdir(filepath.Join(folder, "policies"), 0o700); err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(folder, "sallyport.yaml"), b.Config); err != nil {
		return err
	}
	for _, t := range b.policies {
		if err := writeSynced(filepath.Join(folder, "policies", t.Name), t.Content); err != nil {
			return err
		}
	}
	return nil
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// keptBundle is the copy of approved files. One that is not what its hash says is none.
func keptBundle(data, hash string) (*bundle, error) {
	folder := filepath.Join(data, approvedFolder, hash)
	text, err := os.ReadFile(filepath.Join(folder, "sallyport.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the approved configuration: %w", err)
	}
	b := &bundle{Config: string(text)}
	names, err := filepath.Glob(filepath.Join(folder, "policies", "*.cedar"))
	if err != nil {
		return nil, fmt.Errorf("read the approved policies: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the approved policies: %w", err)
		}
		b.policies = append(b.policies, policy.Text{Name: filepath.Base(name), Content: string(text)})
	}
	if b.hash() != hash {
		return nil, fmt.Errorf("read the approved configuration: the copy in %s is not what two people approved: it was changed", folder)
	}
	return b, nil
}

// adopt sees to it that what holds is what two people approved. The first files approve themselves, and say so; later ones do not, unless those
// before them say that one person is enough. Where others stand on disk, serve goes on with the approved ones.
func (s *Server) adopt() error {
	c := s.O.Config
	if c.File == "" {
		return nil // nothing is configured, so nothing is guarded
	}
	approved, alone := s.State.Files()
	b, err := BundleOf(c)
	switch {
	case err != nil && (approved == "" || alone):
		return err
	case err == nil && b.hash() == approved:
		c.Kept, s.held = b.texts(c), approved
		_, err := b.keep(s.O.Data)
		return err
	case approved == "" || alone:
		return s.adoptAlone(c, b, approved == "")
	}
	return s.goOn(approved)
}

func (s *Server) adoptAlone(c *config.Config, b *bundle, first bool) error {
	if _, err := b.keep(s.O.Data); err != nil {
		return err
	}
	e := &sallyport.Event{Time: s.O.Clock(), Kind: sallyport.Adopted, Order: &sallyport.Order{Action: "adopt", Details: b.hash(), Alone: c.Alone(s.State)}}
	if err := s.orders.Give(nil, e); err != nil {
		return err
	}
	c.Kept, s.held = b.texts(c), b.hash()
	if first && !c.Alone(s.State) {
		s.log.Info("these files are the first ones and approve themselves; from now on two people approve changes", "configuration", c.File, "hash", b.hash())
	}
	return nil
}

// goOn takes the approved files instead of those on disk.
func (s *Server) goOn(approved string) error {
	file := s.O.Config.File
	b, err := keptBundle(s.O.Data, approved)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("its copy in the data folder is gone")
	}
	if err != nil {
		return fmt.Errorf("%s or its policies are not what two people approved (%s…), and %w; bring back the approved files", file, approved[:12], err)
	}
	c, err := b.parse(file)
	if err != nil {
		return fmt.Errorf("the approved configuration cannot be read by this version: start with --only-orders and the former version, and propose one that can: %w", err)
	}
	s.O.Config, s.held, s.Unapproved = c, approved, true
	s.log.Warn("the files on disk are not what two people approved: going on with the approved ones", "file", file, "approved", filepath.Join(s.O.Data, approvedFolder, approved),
		"next", "sallyport config propose --config "+file+" --reason … --as ID, approved by somebody else; or put the approved files back")
	return nil
}

// heldPolicies are the policies that hold: those of the latest approval, where it left the configuration as it runs.
type heldPolicies struct {
	s *Server

	mu   sync.Mutex // guards what follows
	hash string
	set  *policy.Set
}

// current is the set that holds now. Files whose configuration is another one hold from the next start on.
func (h *heldPolicies) current() *policy.Set {
	approved, _ := h.s.State.Files()
	h.mu.Lock()
	defer h.mu.Unlock()
	if approved == h.hash {
		return h.set
	}
	h.hash = approved // one try: what cannot be read now cannot be read in a millisecond
	set, err := h.read(approved)
	switch {
	case err != nil:
		h.s.log.Error("the approved policies cannot be read: those before them go on", "why", err.Error())
	case set == nil:
		h.s.log.Info("another configuration was approved: it holds from the next start on", "hash", approved)
	default:
		h.set = set
		h.s.log.Info("other policies were approved and hold from now on", "hash", approved)
	}
	return h.set
}

func (h *heldPolicies) read(approved string) (*policy.Set, error) {
	b, err := keptBundle(h.s.O.Data, approved)
	if err != nil || b.Config != h.s.O.Config.Text {
		return nil, err
	}
	set, _, err := rulebook.LoadTexts(h.s.O.Config, b.textsOr(h.s.O.Config))
	return set, err
}

// prepareFiles holds files that are to be proposed to sense, keeps a copy, and says what they change.
func (s *Server) prepareFiles(q api.FilesRequest) (api.FilesChange, error) {
	approved, _ := s.State.Files()
	before, err := s.heldBundle(approved)
	if err != nil {
		return api.FilesChange{}, err
	}
	after := &bundle{Config: q.Config}
	if q.PoliciesOnly {
		after.Config = before.Config
	}
	for _, p := range q.Policies {
		if !policyName(p.Name) {
			return api.FilesChange{}, badFiles(fmt.Errorf("%q is no name of a file of policies", p.Name))
		}
		after.policies = append(after.policies, policy.Text{Name: p.Name, Content: p.Content})
	}
	slices.SortFunc(after.policies, func(a, b policy.Text) int { return strings.Compare(a.Name, b.Name) })
	c, err := after.parse(s.O.Config.File)
	if err != nil {
		return api.FilesChange{}, badFiles(err)
	}
	if (c.Policies == "") != (len(after.policies) == 0) {
		return api.FilesChange{}, badFiles(errors.New("policies: names a folder, and no policies came with it, or the other way round; put 'policies: FOLDER' into the configuration first"))
	}
	c.Roster = s.State.Directory().Roster(c.Own(), c.Rules(), s.O.Clock())
	set, _, err := rulebook.LoadTexts(c, after.textsOr(c))
	if err != nil {
		return api.FilesChange{}, badFiles(err)
	}
	if !c.Alone(s.State) {
		if err := s.shutsOut(c, set); err != nil {
			return api.FilesChange{}, badFiles(err)
		}
	}
	if _, err := after.keep(s.O.Data); err != nil {
		return api.FilesChange{}, err
	}
	old, err := before.parse(s.O.Config.File)
	if err != nil {
		return api.FilesChange{}, err
	}
	change := api.FilesChange{Hash: after.hash(), Base: approved, Alone: c.Alone(s.State), Subjects: subjects(old, c)}
	text, err := s.replayedDiff(old, c, before, after, set)
	if err != nil {
		return api.FilesChange{}, err
	}
	change.Diff = text + filesDiff(old, c, before, after, set)
	return change, nil
}

// textsOr are the policies that hold with a configuration: the bundle's, or the program's own.
func (b *bundle) textsOr(c *config.Config) []policy.Text {
	if c.Policies == "" {
		return policy.Defaults(c.Demonstration)
	}
	return b.texts(c)
}

// heldBundle is what holds. Where nothing was configured it is what serve runs with.
func (s *Server) heldBundle(approved string) (*bundle, error) {
	if approved == "" {
		return nil, &api.Problem{Status: 409, Code: "nothing_configured", Sentence: "This serve runs without a configuration.", Hint: "Start it with --config FILE: the first one approves itself."}
	}
	return keptBundle(s.O.Data, approved)
}

func badFiles(err error) error {
	return &api.Problem{Status: 400, Code: "bad_files", Sentence: "These files cannot be used: " + err.Error(), Hint: "Nothing was proposed. See sallyport check and sallyport policy test."}
}

// approvedIn refuses to change rows by a configuration that nobody approved, where it takes two people.
func approvedIn(c *config.Config, state *control.State) error {
	approved, alone := state.Files()
	if approved == "" || alone {
		return nil
	}
	b, err := BundleOf(c)
	if err != nil {
		return err
	}
	if b.hash() != approved {
		return fmt.Errorf("protect by %s: it is not the configuration that two people approved (%s…): run serve, then 'sallyport config propose --config %s', and have it approved first", c.File, approved[:12], c.File)
	}
	return nil
}

// FilesOf are the policies and cases of a bundle as the api carries them.
func FilesOf(b *bundle) []api.PolicyFile {
	files := []api.PolicyFile{}
	for _, t := range b.policies {
		files = append(files, api.PolicyFile{Name: t.Name, Content: t.Content})
	}
	return files
}
