ALTER ROLE postgres PASSWORD ':password';
CREATE DATABASE avivro;
