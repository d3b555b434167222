-- What Deis's controller has made in its database, as far as anybody asks for it: one admin, two applications.
drop database if exists deis with (force);
drop role if exists deis;
create role deis superuser login password 'md50123456789abcdef0123456789abcdef';
create database deis owner deis;
\connect deis deis
create table auth_user (
    id serial primary key,
    username varchar(30) not null unique,
    password varchar(128) not null,
    is_superuser boolean not null,
    is_active boolean not null
);
insert into auth_user values
    (-1, 'AnonymousUser', '', false, true),
    (1, 'admin', 'pbkdf2_sha256$12000$lab', true, true);
select setval('auth_user_id_seq', 1);
create table api_app (id varchar(64) primary key, owner integer references auth_user (id), structure text not null);
insert into api_app values
    ('shop', 1, E'{"web": 3}\t\\ "quoted" ''ü'''),
    ('blog', 1, '{}');
