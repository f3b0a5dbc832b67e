// Package predict estimates, for one prompt and each of several models, how
// likely a good answer is, how sure that estimate is and how long the answer
// will be. It is the trained part of Wye: the parameters come from package
// train and are embedded.
//
// The prompt is read as hashed word and character n-grams, which a frozen table
// of small integer vectors turns into an embedding. One small network names the
// kind of task, another the difficulty and what the prompt demands (a
// multidimensional item response model). A model is a short ability vector and
// a table of what it did on each kind of task beyond that. Far from the
// training data both fade to what is known of the model on average.
//
// The package must not know routing, prices of a decision, policies or
// protocols; it takes text and counts and returns plain numbers. It depends on
// the standard library only, and the same input gives the same bits on every
// architecture.
package predict
