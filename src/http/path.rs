//! Path normalisation.
