"""Recipes as artifacts: packed, locked, pushed, pulled. Everything from elsewhere is checked before it is believed.

`contents` packs a recipe and reads one back; `layout`, `registry` and `hub` are the places it can lie in;
`cache` keeps what was pulled, by digest; `lock` pins what a recipe refers to; `remote` reads recipes from the cache.
"""
