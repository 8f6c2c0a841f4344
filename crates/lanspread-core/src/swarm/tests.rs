//! The two machines against random histories, and the plans that scenarios rely on.
