package fakeprovider

import (
	"hash/maphash"
	"sync"
)

// Providers cache prompts in blocks and from a minimal length on.
const (
	cacheBlock    = 512 // bytes, about 128 tokens
	cacheLeast    = 1024
	cacheCapacity = 1 << 16 // blocks
)

// promptCache remembers the prompts that a server saw, block by block.
type promptCache struct {
	mu     sync.Mutex
	seed   maphash.Seed
	blocks map[uint64]struct{}
}

// use returns how many tokens of the prompt's beginning are cached, and caches
// the whole. A full cache starts anew.
func (c *promptCache) use(prompt []byte) (tokens int) {
	if len(prompt)/4 < cacheLeast {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks == nil {
		c.seed, c.blocks = maphash.MakeSeed(), make(map[uint64]struct{})
	}
	if len(c.blocks) > cacheCapacity {
		clear(c.blocks)
	}
	var h maphash.Hash
	h.SetSeed(c.seed)
	hit := true
	for ; len(prompt) >= cacheBlock; prompt = prompt[cacheBlock:] {
		h.Write(prompt[:cacheBlock])
		key := h.Sum64()
		if _, known := c.blocks[key]; known && hit {
			tokens += cacheBlock / 4
		} else {
			hit = false
			c.blocks[key] = struct{}{}
		}
	}
	if tokens < cacheLeast {
		return 0
	}
	return tokens
}

// responseStore remembers the ids of the responses that were given.
type responseStore struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (s *responseStore) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil || len(s.ids) > 1<<16 {
		s.ids = make(map[string]bool)
	}
	s.ids[id] = true
}

func (s *responseStore) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}
