package query

import (
	"container/list"
	"sync"
)

// cache keeps the plans of texts that were seen lately, bounded by number and by bytes of text. A hit allocates nothing.
type cache struct {
	maxEntries, maxBytes int

	mu     sync.Mutex // guards the fields below
	byText map[cacheKey]*list.Element
	recent *list.List // of *cached, the most recently used first
	bytes  int
}

// cacheKey is the exact text: pg_query's fingerprint and normal form are equal for statements that mean different things.
type cacheKey struct {
	text            string
	standardStrings bool
}

const longestCached = 32 << 10

type cached struct {
	key  cacheKey
	plan *Plan
}

func newCache(maxEntries, maxBytes int) *cache {
	return &cache{maxEntries: maxEntries, maxBytes: maxBytes, byText: map[cacheKey]*list.Element{}, recent: list.New()}
}

func (c *cache) get(text string, standardStrings bool) *Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.byText[cacheKey{text, standardStrings}]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(element)
	return element.Value.(*cached).plan
}

func (c *cache) put(text string, standardStrings bool, plan *Plan) {
	if len(text) > longestCached { // a bulk load comes once, and holds values
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey{text, standardStrings}
	if _, ok := c.byText[key]; ok {
		return
	}
	c.byText[key] = c.recent.PushFront(&cached{key, plan})
	c.bytes += weight(plan)
	for c.bytes > c.maxBytes || len(c.byText) > c.maxEntries {
		oldest := c.recent.Back()
		drop := c.recent.Remove(oldest).(*cached)
		delete(c.byText, drop.key)
		c.bytes -= weight(drop.plan)
	}
}

// weight is about what a plan holds in memory.
func weight(p *Plan) int {
	n := len(p.Text) + 512
	for i := range p.Statements {
		n += 512 + 256*(len(p.Statements[i].Edits)+len(p.Statements[i].Params))
	}
	return n
}
