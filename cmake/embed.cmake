# cmake -DIN=FILE -DOUT=FILE.c -DNAME=SYMBOL -P embed.cmake: a file as bytes in a C array.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,){16})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include \"${NAME}.h\"\n\nconst unsigned char ${NAME}[] = {\n${bytes}\n};\n"
     "const unsigned long ${NAME}_size = sizeof ${NAME};\n")
