package detect

import "math"

// The e-process (docs/detection.md). For each growth δ = 1, 2, 4 … 128 a day, R is 1 added once a day (or a part of it, parts), times the likelihood ratio of the
// day's count under a mean of μ+δ against one of μ, both negative binomial with size k. Their average reaches A in t person-days of
// innocence with an expected frequency of at most t/A, since R − t is a martingale.
//
// The count x is real: the sum of the unexplained parts v of looks. For v between 0 and 1 convexity gives exp(θv) ≤ 1 + v(exp(θ) − 1), so
// that the sum has a smaller moment generating function than whole counts of the same mean, and the ratio, which is exponential in x, stays
// an e-value. It is charged for the whole day from its beginning and grows with x: what it reaches within a day it still has at its end,
// and no profile of the day need be known.
const growths = 8

func growth(i int) float64 { return float64(int(1) << i) }

// slack is what is taken off each day's ratio: calibration lets averages be so much above 1.
const slack = 0.02

// ratio is the log-likelihood ratio of a day with count x.
func ratio(x, mu, k, delta float64) float64 {
	if x == 0 {
		return k * math.Log((k+mu)/(k+mu+delta))
	}
	return risen(x, mu, k, delta, math.Log1p(delta/mu))
}

// risen is the ratio of a day with something, where the logarithm of how far the mean rises is known.
func risen(x, mu, k, delta, rise float64) float64 {
	whole := math.Log((k + mu) / (k + mu + delta))
	return x*(rise+whole) + k*whole
}

// process is R for each δ, as logarithms: what it was at the beginning of the day with the 1 already added.
type process [growths]float64

// none is R = 0 at the end of a day.
func none() (p process) {
	for i := range p {
		p[i] = math.Inf(-1)
	}
	return p
}

// with is the logarithm of the average over δ with a day's evidence.
func (p *process) with(terms [growths]float64) float64 {
	for i := range p {
		terms[i] += p[i]
	}
	return logSum(terms[:]) - math.Ln2*3
}

// top is what it was when it was closed last.
func (p *process) top() float64 { return logSum(p[:]) - 3*math.Ln2 }

// close multiplies the day's ratio in.
func (p *process) close(n null, x float64) { p.multiply(n.evidences(x)) }

func (p *process) multiply(e [growths]float64) {
	for i := range p {
		p[i] += e[i]
	}
}

// parts are how much of the 1 of a new day each growth gets, 1 on average: more where a theft is small and each part of the evidence costs customers,
// less where one more customer brings several powers of ten.
func parts() [growths]float64 { return [growths]float64{1, 1.75, 1.75, 1.5, 0.8, 0.5, 0.4, 0.3} }

// open adds the 1 of a new day.
func (p *process) open() {
	for i, part := range parts() {
		p[i] = math.Log(part) + added(p[i]-math.Log(part))
	}
}

// added is ln(1 + exp x).
func added(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// logSum is ln Σ exp.
func logSum(terms []float64) float64 {
	most := math.Inf(-1)
	for _, t := range terms {
		most = max(most, t)
	}
	if math.IsInf(most, -1) {
		return most
	}
	sum := 0.0
	for _, t := range terms {
		sum += math.Exp(t - most)
	}
	return most + math.Log(sum)
}
