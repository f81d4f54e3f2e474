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
	if len(text) > c.maxBytes/16 { // one bulk load must not push everything else out
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey{text, standardStrings}
	if _, ok := c.byText[key]; ok {
		return
	}
	c.byText[key] = c.recent.PushFront(&cached{key, plan})
	c.bytes += len(text)
	for c.bytes > c.maxBytes || len(c.byText) > c.maxEntries {
		oldest := c.recent.Back()
		drop := c.recent.Remove(oldest).(*cached)
		delete(c.byText, drop.key)
		c.bytes -= len(drop.key.text)
	}
}
