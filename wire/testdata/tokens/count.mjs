// Counts the tokens of texts.json with real tokenizers and writes counts.json:
//
//	npm install --no-save gpt-tokenizer@4.0.0 @anthropic-ai/tokenizer@0.0.4 llama3-tokenizer-js@1.2.0
//	node count.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import o200k from 'gpt-tokenizer/encoding/o200k_base'
import cl100k from 'gpt-tokenizer/encoding/cl100k_base'
import { getTokenizer } from '@anthropic-ai/tokenizer'
import llama3 from 'llama3-tokenizer-js'

const here = (name) => new URL(name, import.meta.url)
const claude2 = getTokenizer()
const counts = {}
for (const { name, text } of JSON.parse(readFileSync(here('texts.json'), 'utf8'))) {
  counts[name] = {
    o200k_base: o200k.encode(text).length,
    cl100k_base: cl100k.encode(text).length,
    claude2: claude2.encode(text.normalize('NFKC'), 'all').length,
    llama3: llama3.encode(text, { bos: false, eos: false }).length,
  }
}
writeFileSync(here('counts.json'), JSON.stringify(counts, null, 1) + '\n')
