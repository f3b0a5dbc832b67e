// Package train fits the parameters of package predict to graded answers and
// measures the result on held-out prompts. It reads the data, and must not know
// routing or serving. Training is deterministic: the same data, configuration
// and seed give the same bytes, whatever the number of processors.
package train
