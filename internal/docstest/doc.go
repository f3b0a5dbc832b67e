// Package docstest finds the fenced code blocks in Markdown pages and says how
// each is put to the test, so that documentation that no longer works fails the
// build. Its tests do so for every page of the repository.
//
// Every block must be one of
//
//	```sh              run by bash; a failing command fails the test
//	```sh server       started, left running for the rest of the page, then
//	                   interrupted, after which it must end without an error
//	```python          run by the Python that has the openai package
//	```yaml            a policy that wye check accepts
//	```json            a JSON document
//	```text output     what the sh or python block above it printed; … stands for
//	                   any text on a line, and alone on a line for any lines
//
// and may have file=NAME after that: the block is kept under that name for the
// blocks below it. The blocks of a page run in order, in one folder.
//
// The package must not know what Wye does.
package docstest
