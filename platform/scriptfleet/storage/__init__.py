"""What we keep: the only room that speaks SQL. Tables, one store per noun, migrations. Nothing of Redis or HTTP."""
