//! Pages and resources.
