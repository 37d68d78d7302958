//! Everything that needs the built command or a whole PostgreSQL server, in one program.

mod command_line;
