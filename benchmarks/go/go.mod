module routines.benchmarks/go

go 1.21
