create schema if not exists discord;
