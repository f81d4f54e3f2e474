package cli

import (
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// bars shows long work on a terminal, one bar for each name; elsewhere it shows nothing.
type bars struct {
	progress *mpb.Progress // nil: not on a terminal

	mu   sync.Mutex // guards bars
	bars map[string]*mpb.Bar
}

func newBars(out io.Writer) *bars {
	b := &bars{bars: map[string]*mpb.Bar{}}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.progress = mpb.New(mpb.WithOutput(out), mpb.WithWidth(48))
	}
	return b
}

// set moves the bar of a name; the first call makes it.
func (b *bars) set(name string, done, total int64) {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bar := b.bars[name]
	if bar == nil {
		bar = b.progress.AddBar(total,
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)))
		b.bars[name] = bar
	}
	bar.SetTotal(total, false)
	bar.SetCurrent(done)
}

// end leaves the bars as they are and gives the terminal back.
func (b *bars) end() {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bar := range b.bars {
		if !bar.Completed() {
			bar.Abort(false)
		}
	}
	b.progress.Wait()
}
